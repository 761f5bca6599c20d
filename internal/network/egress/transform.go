package egress

import (
	"net/http"

	"golang.org/x/net/http/httpguts"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

const (
	maxRuleDomains    = 100
	maxRulesPerDomain = 20
	maxHeadersPerRule = 50
	maxHeaderLength   = 8 << 10
)

// reservedHeaders belong to the connection: a rule that changed one would change which
// server gets the request or where the request ends.
// Source: RFC 9110, section 7.6.1.
var reservedHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true,
}

// transform combines all rules of one domain, in their order.
type transform struct {
	set    map[string]string
	remove map[string]bool
	// needsFilling is whether the headers have placeholders.
	needsFilling bool
}

func (t transform) apply(header http.Header) {
	for name := range t.remove {
		header.Del(name)
	}
	for name, value := range t.set {
		header.Set(name, value)
	}
}

func parseRules(specs map[string][]Rule) (map[string]transform, error) {
	if len(specs) > maxRuleDomains {
		return nil, &SpecError{Field: "rules", Err: ErrTooMany}
	}
	transforms := make(map[string]transform, len(specs))
	for written, rules := range specs {
		domain, ok := parsePattern(written)
		if !ok {
			return nil, &SpecError{Field: "rules", Value: written, Err: ErrMalformedDomain}
		}
		parsed, err := parseTransform(written, rules)
		if err != nil {
			return nil, err
		}
		if len(parsed.set)+len(parsed.remove) > 0 {
			transforms[domain] = parsed
		}
	}
	return transforms, nil
}

func parseTransform(domain string, rules []Rule) (transform, error) {
	if len(rules) > maxRulesPerDomain {
		return transform{}, &SpecError{Field: "rules", Value: domain, Err: ErrTooMany}
	}
	merged := transform{set: map[string]string{}, remove: map[string]bool{}}
	for _, rule := range rules {
		if len(rule.SetHeaders)+len(rule.RemoveHeaders) > maxHeadersPerRule {
			return transform{}, &SpecError{Field: "rules", Value: domain, Err: ErrTooMany}
		}
		for _, written := range rule.RemoveHeaders {
			name, err := parseHeader(written, "")
			if err != nil {
				return transform{}, err
			}
			merged.remove[name] = true
			delete(merged.set, name)
		}
		for written, value := range rule.SetHeaders {
			name, err := parseHeader(written, value)
			if err != nil {
				return transform{}, err
			}
			merged.set[name] = value
		}
	}
	for _, value := range merged.set {
		merged.needsFilling = merged.needsFilling || placeholder.In(value)
	}
	return merged, nil
}

func parseHeader(written, value string) (string, error) {
	name := http.CanonicalHeaderKey(written)
	refused := func(reason error) (string, error) {
		return "", &SpecError{Field: "rules.headers", Value: written, Err: reason}
	}
	switch {
	case !httpguts.ValidHeaderFieldName(written) || !httpguts.ValidHeaderFieldValue(value),
		len(written)+len(value) > maxHeaderLength:
		return refused(ErrMalformedHeader)
	case reservedHeaders[name]:
		return refused(ErrReservedHeader)
	}
	if _, err := placeholder.Find(value); err != nil {
		return refused(err)
	}
	return name, nil
}
