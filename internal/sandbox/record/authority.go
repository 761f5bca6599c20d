package record

import "git.omukk.dev/wrenn/sandbox/internal/network/egress"

// OpenAuthority is the sandbox's certificate authority: the one in the record, or a new
// one.
func (r Record) OpenAuthority() (*egress.Authority, error) {
	if len(r.Authority) == 0 {
		return egress.NewAuthority()
	}
	return egress.ParseAuthority(r.Authority)
}

// CABundle is the certificate that the guest has to trust, in PEM; empty for none.
func (r Record) CABundle() string {
	if len(r.Authority) == 0 {
		return ""
	}
	authority, err := egress.ParseAuthority(r.Authority)
	if err != nil {
		return "" // OpenAuthority returns the error
	}
	return string(authority.Certificate())
}
