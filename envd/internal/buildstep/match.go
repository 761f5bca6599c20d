package buildstep

import (
	"path"
	"regexp"
	"strings"
)

// source is a path or a pattern of what is copied, relative to the root of an archive or
// file system.
type source struct {
	text    string
	pattern *regexp.Regexp // nil for a path
}

func newSource(text string) (source, error) {
	cleaned := strings.TrimPrefix(path.Clean("/"+text), "/")
	if cleaned == "" {
		cleaned = "."
	}
	s := source{text: cleaned}
	if !strings.ContainsAny(cleaned, `*?[{\`) {
		return s, nil
	}
	compiled, err := regexp.Compile("^" + translate(cleaned) + "$")
	if err != nil {
		return source{}, err
	}
	s.pattern = compiled
	return s, nil
}

// translate makes a pattern of shells a regular expression: * and ? match within a name,
// ** also across names.
func translate(pattern string) string {
	var out strings.Builder
	braces := 0
	for i := 0; i < len(pattern); i++ {
		switch letter := pattern[i]; letter {
		case '*':
			if strings.HasPrefix(pattern[i:], "**/") {
				out.WriteString(`(?:[^/]+/)*`)
				i += 2
			} else if strings.HasPrefix(pattern[i:], "**") {
				out.WriteString(`.*`)
				i++
			} else {
				out.WriteString(`[^/]*`)
			}
		case '?':
			out.WriteString(`[^/]`)
		case '[':
			class, length := translateClass(pattern[i:])
			out.WriteString(class)
			i += length - 1
		case '{':
			braces++
			out.WriteString(`(?:`)
		case '}', ',':
			if braces == 0 {
				out.WriteString(regexp.QuoteMeta(string(letter)))
			} else if letter == ',' {
				out.WriteByte('|')
			} else {
				braces--
				out.WriteByte(')')
			}
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			out.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			out.WriteString(regexp.QuoteMeta(string([]byte{letter})))
		}
	}
	out.WriteString(strings.Repeat(")", braces))
	return out.String()
}

// translateClass translates the class that a pattern begins with, and returns its length.
func translateClass(pattern string) (class string, length int) {
	end := strings.IndexByte(pattern[1:], ']')
	if end < 1 {
		return `\[`, 1
	}
	inner := strings.ReplaceAll(pattern[1:1+end], `[`, `\[`)
	if inner[0] == '!' {
		inner = "^" + inner[1:]
	}
	return "[" + inner + "]", end + len("[]")
}

// match tells whether a name of an archive is copied: is the source itself, or below it.
// below is the part of the name below the source; empty for the source itself.
func (s source) match(name string) (matched, below string, ok bool) {
	if s.text == "." {
		return ".", strings.TrimPrefix(name, "."), true
	}
	if s.pattern == nil {
		if name == s.text {
			return name, "", true
		}
		below, ok = strings.CutPrefix(name, s.text+"/")
		return s.text, below, ok
	}
	// From 1 on: a pattern that matches an empty text matches no name by it.
	for end := 1; end <= len(name); end++ {
		if (end == len(name) || name[end] == '/') && s.pattern.MatchString(name[:end]) {
			return name[:end], strings.TrimPrefix(name[end:], "/"), true
		}
	}
	return "", "", false
}
