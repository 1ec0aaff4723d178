package load

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
)

// headMax bounds one line of a response's head, in bytes.
const headMax = 16 << 10

// Conn is one keep-alive connection.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a host and port.
func Dial(address string) (*Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, in: bufio.NewReaderSize(conn, headMax)}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends one whole request and reads its response, whose body it drops. It
// returns the status.
func (c *Conn) Do(request []byte) (int, error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	return c.Answer()
}

// Send sends requests in one piece; each wants an Answer.
func (c *Conn) Send(requests []byte) error {
	_, err := c.conn.Write(requests)
	return err
}

// Answer reads one response, whose body it drops, and returns the status.
func (c *Conn) Answer() (int, error) {
	status, length, err := c.head()
	if err != nil {
		return 0, err
	}
	_, err = c.in.Discard(length)
	return status, err
}

// Ask sends one whole request and returns the response's status and body.
func (c *Conn) Ask(request []byte) (int, []byte, error) {
	if err := c.Send(request); err != nil {
		return 0, nil, err
	}
	status, length, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	body := make([]byte, length)
	for read := 0; read < length; {
		n, err := c.in.Read(body[read:])
		if err != nil {
			return status, nil, err
		}
		read += n
	}
	return status, body, nil
}

// Hear is Ask for answers that are looked at and forgotten: the body lies in
// the connection's buffer until the next call.
func (c *Conn) Hear(request []byte) (int, []byte, error) {
	if err := c.Send(request); err != nil {
		return 0, nil, err
	}
	status, length, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	body, err := c.in.Peek(length)
	if err != nil {
		return status, nil, err
	}
	_, err = c.in.Discard(length)
	return status, body, err
}

// head reads a response up to its body.
func (c *Conn) head() (status, length int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, 0, fmt.Errorf("not a status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("not a status line: %q", line)
	}
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			return status, length, nil
		}
		if value, ok := contentLength(line); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, 0, fmt.Errorf("not a length: %q", line)
			}
		}
	}
}

// contentLength returns the field's value where the line bears it.
func contentLength(line []byte) ([]byte, bool) {
	const name = "content-length:"
	if len(line) < len(name) || line[0]|0x20 != 'c' || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}
