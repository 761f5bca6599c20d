package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// fields are the names that results have for MIME types. Other types are extras.
var fields = map[string]string{
	"text/plain":             "text",
	"text/html":              "html",
	"text/markdown":          "markdown",
	"image/svg+xml":          "svg",
	"image/png":              "png",
	"image/jpeg":             "jpeg",
	"application/pdf":        "pdf",
	"text/latex":             "latex",
	"application/json":       "json",
	"application/javascript": "javascript",
	"e2b/data":               "data",
	"e2b/chart":              "chart",
}

// encode makes the line of an event.
func encode(event kernel.Event) ([]byte, error) {
	var line map[string]any
	switch of := event.(type) {
	case kernel.Output:
		kind := "stdout"
		if of.Stderr {
			kind = "stderr"
		}
		line = map[string]any{"type": kind, "text": of.Text, "timestamp": of.At.UnixNano()}
	case kernel.Failure:
		line = map[string]any{"type": "error", "name": of.Name, "value": of.Value, "traceback": of.Traceback}
	case kernel.Count:
		line = map[string]any{"type": "number_of_executions", "execution_count": of.N}
	case kernel.Result:
		line = result(of)
	default:
		return nil, fmt.Errorf("no line for a %T", event)
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return nil, fmt.Errorf("encode a %T: %w", event, err)
	}
	return encoded.Bytes(), nil
}

func result(of kernel.Result) map[string]any {
	line := map[string]any{"type": "result", "is_main_result": of.Main}
	extra := map[string]any{}
	for mime, data := range of.Data {
		name, known := fields[mime]
		switch {
		case string(data) == "null":
		case !known:
			extra[mime] = data
			// E2B's Python SDK reads extras under that name, the JavaScript SDK beside it.
			if strings.Contains(mime, "/") {
				line[mime] = data
			}
		case name == "text":
			line[name] = unquote(text(data))
		case name == "json", name == "data", name == "chart":
			line[name] = data
		default:
			line[name] = text(data)
		}
	}
	if len(extra) > 0 {
		line["extra"] = extra
	}
	return line
}

// text reads a representation that is text; a notebook's may come as a list of lines.
func text(data json.RawMessage) string {
	var whole string
	if json.Unmarshal(data, &whole) == nil {
		return whole
	}
	var parts []string
	if json.Unmarshal(data, &parts) == nil {
		return strings.Join(parts, "")
	}
	return string(data)
}

// unquote takes the quotes off Python's representation of a string, as E2B's server does:
// clients compare the text of results with what it says.
func unquote(text string) string {
	if len(text) >= 2 && strings.HasPrefix(text, "'") && strings.HasSuffix(text, "'") {
		return text[1 : len(text)-1]
	}
	return text
}
