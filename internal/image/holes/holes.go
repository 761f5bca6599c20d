// Package holes finds the zeros in a file's content that its disk need not store.
package holes

import "encoding/binary"

// Bytes is the least that becomes a hole: many small ones would cost more to describe than
// they save.
const Bytes = 1 << 16

// Split says how many bytes at the beginning are zeros, and how many after them are data.
// Both are whole pieces of Bytes, but for the part's end.
func Split(part []byte) (zeros, data int) {
	for zeros < len(part) && isZero(part[zeros:min(zeros+Bytes, len(part))]) {
		zeros = min(zeros+Bytes, len(part))
	}
	for end := zeros; end < len(part); {
		next := min(end+Bytes, len(part))
		if isZero(part[end:next]) {
			break
		}
		end = next
		data = end - zeros
	}
	return zeros, data
}

func isZero(part []byte) bool {
	for len(part) >= 8 {
		if binary.NativeEndian.Uint64(part) != 0 {
			return false
		}
		part = part[8:]
	}
	for _, one := range part {
		if one != 0 {
			return false
		}
	}
	return true
}
