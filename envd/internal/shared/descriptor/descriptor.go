// Package descriptor does system calls on open files.
package descriptor

import "os"

// With calls work with a file's descriptor, which is valid until work returns,
// and returns its error. Unlike os.File.Fd it leaves the file as it is, so that
// its deadlines are still heeded.
func With(file *os.File, work func(descriptor int) error) error {
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
