package nfs

import "encoding/binary"

// reader decodes XDR (RFC 4506). After data that is missing or too long, bad is true and
// every value is zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) uint32() uint32 {
	if word := r.take(4); word != nil {
		return binary.BigEndian.Uint32(word)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if word := r.take(8); word != nil {
		return binary.BigEndian.Uint64(word)
	}
	return 0
}

func (r *reader) bool() bool { return r.uint32() != 0 }

// opaque reads at most so many bytes. They share the message's memory.
func (r *reader) opaque(most uint32) []byte {
	length := r.uint32()
	if length > most {
		r.bad = true
		return nil
	}
	content := r.take(int(length))
	r.take(int(-length & 3)) // to a multiple of four
	return content
}

// writer encodes XDR.
type writer struct{ buffer []byte }

func (w *writer) uint32(value uint32) { w.buffer = binary.BigEndian.AppendUint32(w.buffer, value) }

func (w *writer) uint64(value uint64) { w.buffer = binary.BigEndian.AppendUint64(w.buffer, value) }

func (w *writer) bool(value bool) {
	if value {
		w.uint32(1)
	} else {
		w.uint32(0)
	}
}

func (w *writer) opaque(content []byte) {
	w.uint32(uint32(len(content)))
	w.buffer = append(w.buffer, content...)
	w.buffer = append(w.buffer, make([]byte, -len(content)&3)...)
}
