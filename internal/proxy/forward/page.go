package forward

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

var (
	//go:embed page.html.tmpl
	pageText string
	//go:embed page.css
	pageStyle string

	pageTemplate = template.Must(template.New("failure").Parse(pageText))
	pagePolicy   = policyFor(pageStyle)
)

// policyFor returns a Content-Security-Policy that allows one style sheet and
// nothing else.
func policyFor(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// wantsPage reports whether a browser is navigating: only then does it accept
// text/html by name.
func wantsPage(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		for part := range strings.SplitSeq(line, ",") {
			kind, parameters, err := mime.ParseMediaType(part)
			if err != nil || kind != "text/html" {
				continue
			}
			quality, err := strconv.ParseFloat(cmp.Or(parameters["q"], "1"), 64)
			return err == nil && quality > 0
		}
	}
	return false
}

func (f Failure) writePage(w http.ResponseWriter) {
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, map[string]any{
		"Style": template.CSS(pageStyle), "Code": f.Code, "Status": http.StatusText(f.Code), "Message": f.Message, //nolint:gosec // a constant of this package
		"Advice": cmp.Or(f.Advice, advices[f.Code], DefaultAdvice), "SandboxID": f.SandboxID, "Port": f.Port,
	})
	if err != nil {
		panic(err) // the template is a constant that accepts any text
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(f.Code)
	_, _ = w.Write(page.Bytes())
}
