package contexts

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// snippets are how a language sets and removes variables of its environment. Both take
// the quoted name, and set the quoted value.
type snippets struct {
	quote       func(string) string
	set, remove string
	// names is true where names are written bare.
	bare bool
}

// environments has the languages whose environment can be set. Others, kernels that
// somebody added, run with the one that they were started with.
var environments = map[string]snippets{
	"python":     {quote: quoteJSON, set: `__import__("os").environ[%s] = %s`, remove: `__import__("os").environ.pop(%s, None)`},
	"javascript": {quote: quoteJSON, set: `process.env[%s] = %s;`, remove: `delete process.env[%s];`},
	"typescript": {quote: quoteJSON, set: `process.env[%s] = %s;`, remove: `delete process.env[%s];`},
	"bash":       {quote: quoteShell, set: `export %s=%s`, remove: `unset %s`, bare: true},
	"r":          {quote: quoteR, set: `Sys.setenv(%s = %s)`, remove: `Sys.unsetenv(%s)`},
	"java":       {quote: quoteJSON, set: `System.setProperty(%s, %s);`, remove: `System.clearProperty(%s);`},
}

func (s snippets) name(name string) string {
	if s.bare {
		return name
	}
	return s.quote(name)
}

// change is code that sets variables, and removes those of remove.
func (s snippets) change(set map[string]string, remove []string) string {
	var lines []string
	for _, name := range remove {
		lines = append(lines, fmt.Sprintf(s.remove, s.name(name)))
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		lines = append(lines, fmt.Sprintf(s.set, s.name(name), s.quote(set[name])))
	}
	return strings.Join(lines, "\n")
}

// quoteJSON quotes for languages whose strings have JSON's escapes.
func quoteJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return `""` // a string always has a form in JSON
	}
	return string(quoted)
}

func quoteShell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quoteR quotes for R, whose \u escapes know no pairs of surrogates: text stays as it is.
func quoteR(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(text) + `"`
}
