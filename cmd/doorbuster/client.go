package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/gate"
)

const (
	clientTimeout = 30 * time.Second // an audit of many orders takes its time
	answerMax     = 64 << 20         // bytes; both lists, full, are half of that
)

// nodeFlags say which node to ask, and with what token.
type nodeFlags struct {
	AdminURL string `placeholder:"URL" env-too:"DOORBUSTER_ADMIN_URL" help:"Operators' address of the node. Default: http://127.0.0.1:8081."`
	JSON     bool   `help:"Print the node's answer as JSON."`
	place
}

// client asks one node.
type client struct {
	base  string
	where string // base without a password, for messages
	token gate.Secret
	http  *http.Client
}

func (f nodeFlags) client(p program) (*client, error) {
	base := f.AdminURL
	if base == "" {
		base = p.getenv("DOORBUSTER_ADMIN_URL")
	}
	if base == "" {
		base = "http://127.0.0.1:8081"
	}
	parsed, err := url.Parse(base)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || parsed.Host == "" {
		quoted := fmt.Sprintf("%q ", base)
		if strings.Contains(base, "@") { // behind a password
			quoted = ""
		}
		return nil, misused(fmt.Errorf("--admin-url: %sis not an address; write such as http://127.0.0.1:8081", quoted))
	}
	data, err := f.folder(p)
	if err != nil {
		return nil, err
	}
	token, err := config.ReadSecret("admin-token", data, p.getenv)
	if err != nil {
		return nil, misused(err)
	}
	return &client{
		base: strings.TrimSuffix(base, "/"), where: config.RedactURL(strings.TrimSuffix(base, "/")), token: token,
		http: &http.Client{Timeout: clientTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the token goes nowhere else
		}},
	}, nil
}

// answer is what the node said.
type answer struct {
	status int
	body   []byte
}

// ask sends one request. An answer that is not 2xx is an error that says what
// the node said.
func (c *client) ask(ctx context.Context, method, path string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/admin/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+string(c.token.Reveal()))
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, c.unreached(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return answer{}, c.unreached(err)
	}
	said := answer{response.StatusCode, text}
	if said.status/100 != 2 {
		return said, c.refused(said)
	}
	return said, nil
}

func (c *client) unreached(err error) error {
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no node answers at %s; start one with doorbuster serve, or name its operators' address with --admin-url", c.where)
	}
	return fmt.Errorf("ask the node at %s: %w", c.where, err)
}

// refused puts a problem into words, a line for each reason.
func (c *client) refused(said answer) error {
	var problem struct {
		Title, Detail string
		Reasons       []string
	}
	if said.status == http.StatusUnauthorized {
		return fmt.Errorf("the node at %s does not take this token; set DOORBUSTER_ADMIN_TOKEN, or name the node's folder with --data", c.where)
	}
	if err := json.Unmarshal(said.body, &problem); err != nil || problem.Title == "" {
		return fmt.Errorf("%s answered %d %s: is it a node's operators' address?", c.where, said.status, http.StatusText(said.status))
	}
	if len(problem.Reasons) == 0 {
		return errors.New(problem.Detail)
	}
	return errors.New(problem.Title + "\n  " + strings.Join(problem.Reasons, "\n  "))
}
