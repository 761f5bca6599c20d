package httpserver

import (
	"bufio"
	"net"
)

// Hijack hands the connection over. The body is not read any more.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.body.stop()
	connection, buffers, err := a.controller.Hijack()
	a.hijacked = err == nil
	return connection, buffers, err
}
