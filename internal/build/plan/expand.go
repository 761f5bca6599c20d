package plan

import "strings"

// Expand fills in variables as Dockerfiles do: $NAME, ${NAME}, ${NAME:-default},
// ${NAME-default}, ${NAME:+other} and ${NAME+other}. A backslash keeps the dollar sign
// after it. Variables that are not set are empty; a text that is none of these stays as it
// is.
func Expand(text string, lookUp func(name string) (string, bool)) string {
	return expand(text, lookUp, 0)
}

// maxDepth bounds defaults within defaults.
const maxDepth = 10

func expand(text string, lookUp func(string) (string, bool), depth int) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '$':
			out.WriteByte('$')
			i += 2
		case text[i] == '$':
			value, length := expandOne(text[i:], lookUp, depth)
			out.WriteString(value)
			i += length
		default:
			out.WriteByte(text[i])
			i++
		}
	}
	return out.String()
}

// expandOne expands the variable that text begins with, and returns how many bytes of text
// it takes.
func expandOne(text string, lookUp func(string) (string, bool), depth int) (value string, length int) {
	if strings.HasPrefix(text, "${") {
		return expandBraces(text, lookUp, depth)
	}
	name := leadingName(text[1:])
	if name == "" {
		return "$", 1
	}
	value, _ = lookUp(name)
	return value, 1 + len(name)
}

func expandBraces(text string, lookUp func(string) (string, bool), depth int) (value string, length int) {
	end := closingBrace(text)
	name := leadingName(text[2:])
	if end < 0 || name == "" || depth == maxDepth {
		return "$", 1
	}
	length = end + 1
	value, set := lookUp(name)
	operator := text[2+len(name) : end]
	if operator == "" {
		return value, length
	}
	if rest, colon := strings.CutPrefix(operator, ":"); colon {
		operator, set = rest, set && value != ""
	}
	switch {
	case strings.HasPrefix(operator, "-"):
		if !set {
			value = expand(operator[1:], lookUp, depth+1)
		}
	case strings.HasPrefix(operator, "+"):
		value = ""
		if set {
			value = expand(operator[1:], lookUp, depth+1)
		}
	default:
		return "$", 1
	}
	return value, length
}

// closingBrace is the index of the brace that closes the one text begins with after a
// dollar sign; negative for none.
func closingBrace(text string) int {
	open := 0
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

func leadingName(text string) string {
	for i := range len(text) {
		letter := text[i] == '_' || 'a' <= text[i]|0x20 && text[i]|0x20 <= 'z'
		digit := '0' <= text[i] && text[i] <= '9'
		if !letter && (!digit || i == 0) {
			return text[:i]
		}
	}
	return text
}
