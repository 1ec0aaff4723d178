package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// rabbitPrograms is where Debian keeps the broker's own scripts. Those in
// /usr/sbin insist on a user of their own and its folders.
const rabbitPrograms = "/usr/lib/rabbitmq/bin/"

// RabbitMQ is a broker in a folder of its own, started and perhaps ended
// since. Its Erlang port mapper is its own, too, so that brokers never meet.
type RabbitMQ struct {
	Address string // host:port, of AMQP

	dir        string
	password   string
	dist, epmd string // addresses of Erlang's distribution and its port mapper
	process    *Process
	mapper     *Process
}

// StartRabbitMQ starts a broker in dir, an empty folder, as whoever runs this
// process. It takes some six seconds.
func StartRabbitMQ(ctx context.Context, dir string) (*RabbitMQ, error) {
	r := &RabbitMQ{dir: dir, password: rand.Text()}
	for _, address := range []*string{&r.Address, &r.dist, &r.epmd} {
		var err error
		if *address, err = FreeAddress(); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{
		".erlang.cookie":  rand.Text(),
		"enabled_plugins": "[].\n",
		"rabbitmq.conf":   r.settings(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return r, r.Start(ctx)
}

// rabbitAccount names the broker's only user and its virtual host: nobody is a
// guest.
const rabbitAccount = "doorbuster"

func (r *RabbitMQ) settings() string {
	return strings.Join([]string{
		"listeners.tcp.default = " + r.Address,
		"default_user = " + rabbitAccount,
		"default_pass = " + r.password,
		"default_vhost = " + rabbitAccount,
		"vm_memory_high_watermark.absolute = 512MB",
		"disk_free_limit.absolute = 1MB",
		"raft.wal_max_size_bytes = 67108864", // each log is kept in memory until it is full
		"log.console = true",
		"log.console.level = warning",
		"log.file = false",
		"",
	}, "\n")
}

// environment is that of the broker and its tools. The host's name need not
// resolve, and no file of the system's own broker is read or written.
func (r *RabbitMQ) environment() []string {
	_, dist, _ := net.SplitHostPort(r.dist) // both are from FreeAddress
	host, epmd, _ := net.SplitHostPort(r.epmd)
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"LANG=C.UTF-8",
		"HOME=" + r.dir,
		"ERL_EPMD_ADDRESS=" + host,
		"ERL_EPMD_PORT=" + epmd,
		"RABBITMQ_NODENAME=node@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=" + host,
		"RABBITMQ_DIST_PORT=" + dist,
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(r.dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(r.dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(r.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(r.dir, "log"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the broker: its process id is ours
	}
}

// Start starts a broker that was ended, on its folder and ports.
func (r *RabbitMQ) Start(ctx context.Context) (err error) {
	host, port, err := net.SplitHostPort(r.epmd)
	if err != nil {
		return err
	}
	r.mapper, err = Start(Command{
		Name: "epmd", Args: []string{"-address", host, "-port", port},
		Env: r.environment(), Log: filepath.Join(r.dir, "epmd.log"),
	})
	if err != nil {
		return err
	}
	if err := r.mapper.Until(ctx, func() error { return answers(ctx, r.epmd) }); err != nil {
		return errors.Join(err, r.mapper.Kill())
	}
	r.process, err = Start(Command{
		Name: rabbitPrograms + "rabbitmq-server", Env: r.environment(), Dir: r.dir,
		Log: filepath.Join(r.dir, "rabbitmq.log"),
	})
	if err != nil {
		return errors.Join(err, r.mapper.Kill())
	}
	if err := r.process.Until(ctx, func() error { return answers(ctx, r.Address) }); err != nil {
		return errors.Join(err, r.Kill())
	}
	return nil
}

// answers reports whether somebody listens: the broker does so at the end of
// its start.
func answers(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// URL is what a client is given.
func (r *RabbitMQ) URL() string { return r.URLAt(r.Address) }

// URLAt is the URL of a proxy before the broker.
func (r *RabbitMQ) URLAt(address string) string {
	return "amqp://" + rabbitAccount + ":" + r.password + "@" + address + "/" + rabbitAccount
}

// Process returns the process as it was last started.
func (r *RabbitMQ) Process() *Process { return r.process }

// Ctl runs rabbitmqctl and returns what it printed.
func (r *RabbitMQ) Ctl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, rabbitPrograms+"rabbitmqctl", args...)
	command.Env, command.Dir = r.environment(), r.dir
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return string(out), nil
}

// Stop ends the broker in order, and its port mapper.
func (r *RabbitMQ) Stop() error {
	return errors.Join(r.Thaw(), r.process.Stop(syscall.SIGTERM), r.mapper.Stop(syscall.SIGTERM))
}

// Kill ends the broker as a power cut would. Its helpers live in groups of
// their own and end when its pipes do; gone waits for them.
func (r *RabbitMQ) Kill() error {
	family := descendants(r.process.PID())
	return errors.Join(r.process.Kill(), r.mapper.Kill(), gone(family))
}

// Restart kills the broker and starts it again with what its files hold.
func (r *RabbitMQ) Restart(ctx context.Context) error {
	if err := r.Kill(); err != nil {
		return err
	}
	return r.Start(ctx)
}

// Freeze stops the broker without ending it; Thaw lets it go on.
func (r *RabbitMQ) Freeze() error { return r.process.Freeze() }

// Thaw ends a Freeze.
func (r *RabbitMQ) Thaw() error { return r.process.Thaw() }
