package httpserver

import (
	"bufio"
	"net"
)

// Hijack implements http.Hijacker. The body cannot be read after it.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.body.stop()
	connection, buffers, err := a.controller.Hijack()
	a.hijacked = err == nil
	return connection, buffers, err
}
