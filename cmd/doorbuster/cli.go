package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// Exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2 // wrong usage or configuration; of audit: could not tell
)

// program is what a command has of the world around it.
type program struct {
	getenv         func(string) string
	environ        func() []string // nil: empty
	stdout, stderr io.Writer
}

// commands is the grammar: a field per verb.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run a node: sell, until told to stop."`
	Sale    saleCommands   `cmd:"" help:"Publish, watch and steer sales on a running node."`
	List    listsCommands  `cmd:"" help:"Block and allow addresses, prefixes and buyers on running nodes."`
	Token   tokenCommand   `cmd:"" help:"Print a buyer token, for tests and scripts."`
	Audit   auditCommand   `cmd:"" help:"Ask whether the books are right; also while nodes run."`
	Export  exportCommand  `cmd:"" help:"Write a sale's page as plain files for any CDN."`
	Deploy  deployCommands `cmd:"" help:"Write configurations of what stands in front of nodes and around them."`
	Plan    planCommand    `cmd:"" help:"Size machines for a crowd: nodes, stores, lines and money."`
	Config  configCommands `cmd:"" help:"Check or print the configuration."`
	Version versionCommand `cmd:"" help:"Print version, commit and Go version."`
}

const about = `A flash sale that sells each unit once and loses none.

Try it, with nothing to configure:

    doorbuster serve --sale examples/sneakers.yaml

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration.`

// coded is an error with the exit code that it ends the program with.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// misused marks an error of usage or configuration.
func misused(err error) error { return coded{err, exitUsage} }

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, p program) int {
	var grammar commands
	helped := false
	parser, err := kong.New(&grammar,
		kong.Name("doorbuster"), kong.Description(about), kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(int) { helped = true }), kong.Help(printHelp), kong.ValueFormatter(settingHelp),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p),
	)
	if err != nil {
		return p.end(err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if helped {
		return exitDone
	}
	if wrong, ok := errors.AsType[*kong.ParseError](err); ok {
		return p.end(misused(fmt.Errorf("%w\nRun \"%s --help\" to see what there is", wrong, strings.TrimSpace("doorbuster "+verb(wrong)))))
	}
	if err != nil {
		return p.end(misused(err))
	}
	return p.end(command.Run())
}

// readDuration reads a flag such as 15m.
func readDuration(context *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := context.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration; write hours, minutes or seconds, such as 24h, 15m or 90s", text)
	}
	target.SetInt(int64(d))
	return nil
}

// verb returns the command as far as it was understood.
func verb(wrong *kong.ParseError) string {
	if wrong.Context == nil || wrong.Context.Selected() == nil {
		return ""
	}
	return strings.TrimPrefix(wrong.Context.Selected().FullPath(), "doorbuster ")
}

// end prints the error, a line for each fault, and returns the exit code.
func (p program) end(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	if c, ok := errors.AsType[coded](err); ok {
		code = c.code
	}
	lines := []string{err.Error()}
	if faults, ok := errors.AsType[shop.Faults](err); ok {
		lines = faults.Lines()
	}
	for _, line := range lines {
		p.print(p.stderr, "doorbuster: %s\n", line)
	}
	return code
}

// strays names the variables of the environment that were to be settings.
func (p program) strays() []string {
	if p.environ == nil {
		return nil
	}
	return config.Stray(p.environ())
}

// print writes for a person or a pipe; who closed it does not want to read.
func (p program) print(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format, args...)
}

// settingHelp adds environment variable and default to a setting's help.
func settingHelp(value *kong.Value) string {
	env := value.Tag.Get("env-too")
	if config.IsSetting(value.Name) {
		env = config.EnvOf(value.Name)
	}
	if env == "" {
		return value.Help
	}
	help := value.Help + " [$" + env
	if preset := value.Tag.Get("preset"); preset != "" {
		help += "; default " + preset
	}
	return help + "]"
}
