// Package utils has the small things that several of envd's packages need.
package utils

import "os"

// WithDescriptor calls work with a file's descriptor, which is valid until work
// returns, and returns its error. Unlike os.File.Fd it leaves the file in
// non-blocking mode, so its deadlines keep working.
func WithDescriptor(file *os.File, work func(descriptor int) error) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var workErr error
	if err := connection.Control(func(descriptor uintptr) { workErr = work(int(descriptor)) }); err != nil {
		return err
	}
	return workErr
}
