package imagetest

import (
	"fmt"
	"slices"
)

// SparseArchive is a tar archive of a file of size bytes, all of which but the last, an x,
// are holes. It has GNU tar's old form, which Go reads but does not write.
// Source: "GNU tar and POSIX tar" in the manual of GNU tar.
func SparseArchive(name string, size int64) []byte {
	const record = 512
	header := make([]byte, record)
	copy(header, name)
	copy(header[100:], "0000644\x00")     // the mode
	copy(header[124:], "00000000001\x00") // bytes in the archive
	copy(header[136:], "00000000000\x00") // the time
	header[156] = 'S'
	copy(header[257:], "ustar  \x00")
	// Where the one piece of data is, its size, and that of the file.
	for at, value := range map[int]int64{386: size - 1, 398: 1, 483: size} {
		header[at] = 0x80 // base 256
		for i := range 8 {
			header[at+4+i] = byte(value >> (8 * (7 - i)))
		}
	}
	copy(header[148:], "        ")
	sum := 0
	for _, one := range header {
		sum += int(one)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	const contentAndEnd = 3 * record
	return slices.Concat(header, []byte("x"), make([]byte, contentAndEnd-1))
}
