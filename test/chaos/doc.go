// Package chaos kills the parts of a host agent under load, and fills its disk,
// and looks for what was lost: a paused sandbox, an acknowledged write, a
// process or file that nobody owns any more. It does the same to a whole Wrenn that
// builds templates.
package chaos
