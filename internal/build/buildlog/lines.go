package buildlog

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lines splits a guest's output into lines that are safe to show: valid UTF-8 without
// control characters and escape sequences, of at most MaxLineBytes, secrets replaced.
type Lines struct {
	emit    func(line string)
	secrets []string

	line    []byte
	dropped bool // the line is longer than what is kept of it
}

// redacted stands in a log for a secret's value.
const redacted = "***"

// minSecretBytes: values that are shorter are too common to be replaced.
const minSecretBytes = 3

// NewLines makes a Lines. Each line of each secret is replaced wherever it stands.
func NewLines(secrets [][]byte, emit func(line string)) *Lines {
	l := &Lines{emit: emit}
	for _, secret := range secrets {
		for part := range bytes.Lines(secret) {
			if part = bytes.TrimSpace(part); len(part) >= minSecretBytes {
				l.secrets = append(l.secrets, string(part))
			}
		}
	}
	// A secret that holds another is replaced first.
	slices.SortFunc(l.secrets, func(a, b string) int { return len(b) - len(a) })
	return l
}

// keptBytes is how much of a line is kept until its end: more than is shown, because
// escape sequences are removed and a secret may be cut by the bound.
const keptBytes = 4 * MaxLineBytes

// Write takes output. It never fails.
func (l *Lines) Write(output []byte) (int, error) {
	length := len(output)
	for len(output) > 0 {
		end := bytes.IndexByte(output, '\n')
		part := output
		if end >= 0 {
			part = output[:end]
		}
		l.keep(part)
		if end < 0 {
			break
		}
		l.Flush()
		output = output[end+1:]
	}
	return length, nil
}

func (l *Lines) keep(part []byte) {
	room := keptBytes - len(l.line)
	if len(part) > room {
		part, l.dropped = part[:room], true
	}
	l.line = append(l.line, part...)
}

// Flush emits a line that has not ended.
func (l *Lines) Flush() {
	line, dropped := l.line, l.dropped
	l.line, l.dropped = l.line[:0], false
	if text := l.clean(string(line), dropped); text != "" || len(line) == 0 && !dropped {
		l.emit(text)
	}
}

// Close emits what is left.
func (l *Lines) Close() {
	if len(l.line) > 0 || l.dropped {
		l.Flush()
	}
}

const cutMark = "…"

func (l *Lines) clean(line string, dropped bool) string {
	line = strings.TrimRight(line, "\r")
	// A program that draws a bar begins again with a carriage return: what it drew last
	// is shown.
	line = line[strings.LastIndexByte(line, '\r')+1:]
	line = Clean(line)
	for _, secret := range l.secrets {
		line = strings.ReplaceAll(line, secret, redacted)
	}
	if dropped {
		line = withoutCutSecret(line, l.secrets)
	}
	return Cut(line, dropped)
}

// withoutCutSecret removes the beginning of a secret at the end of a line that was cut.
func withoutCutSecret(line string, secrets []string) string {
	for _, secret := range secrets {
		for length := min(len(secret)-1, len(line)); length >= minSecretBytes; length-- {
			if strings.HasSuffix(line, secret[:length]) {
				return line[:len(line)-length] + redacted
			}
		}
	}
	return line
}

// Cut shortens a text to MaxLineBytes, at the boundary of a character; it marks one that
// was cut, here or before.
func Cut(text string, wasCut bool) string {
	if len(text) <= MaxLineBytes && !wasCut {
		return text
	}
	end := min(len(text), MaxLineBytes)
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutMark
}

// Clean makes a text safe to show: escape sequences and control characters are removed,
// what is not UTF-8 is replaced, a tab is kept.
func Clean(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		if text[i] == '\x1b' {
			i += escapeLength(text[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		if r == '\t' || !unicode.IsControl(r) && !isFormat(r) {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// isFormat reports characters that change the direction or the looks of text around them.
func isFormat(r rune) bool { return unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' }

// escapeLength is how long the escape sequence is that a text begins with.
// Source: ECMA-48, 5.4 and 5.6.
func escapeLength(text string) int {
	if len(text) < 2 {
		return len(text)
	}
	switch text[1] {
	case '[': // CSI: parameters and intermediates, then one final byte
		for i := 2; i < len(text); i++ {
			if text[i] >= 0x40 && text[i] <= 0x7e {
				return i + 1
			}
			if text[i] < 0x20 || text[i] > 0x7e {
				return i
			}
		}
		return len(text)
	case ']', 'P', 'X', '^', '_': // strings, ended by BEL or ESC \
		for i := 2; i < len(text); i++ {
			if text[i] == '\a' {
				return i + 1
			}
			if text[i] == '\x1b' {
				return min(i+2, len(text))
			}
		}
		return len(text)
	default:
		return 2
	}
}
