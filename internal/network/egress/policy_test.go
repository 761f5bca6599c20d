package egress

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

func parse(t *testing.T, spec Spec) *Policy {
	t.Helper()
	policy, err := Parse(spec)
	require.NoError(t, err)
	return policy
}

const everywhere = "0.0.0.0/0"

func TestPolicy_DecidesByAddress(t *testing.T) {
	tests := map[string]struct {
		spec      Spec
		reachable []string
		denied    []string
	}{
		"the default is the public internet": {
			Spec{},
			[]string{"1.1.1.1", "203.0.113.9"},
			[]string{"10.1.2.3", "127.0.0.1", "169.254.169.254", "172.31.0.1", "192.168.1.1", "100.64.0.1", "168.63.129.16", "224.0.0.1", "255.255.255.255"},
		},
		"no internet":         {Spec{DenyInternet: true}, nil, []string{"1.1.1.1", "203.0.113.9"}},
		"denied by CIDR":      {Spec{DenyOut: []string{"203.0.113.0/24"}}, []string{"198.51.100.1"}, []string{"203.0.113.9"}},
		"denied by address":   {Spec{DenyOut: []string{"203.0.113.9"}}, []string{"203.0.113.8", "203.0.113.10"}, []string{"203.0.113.9"}},
		"an IPv6 deny is met": {Spec{DenyOut: []string{"::/0"}}, []string{"203.0.113.9"}, []string{"2001:db8::1"}},
		"allowed beats denied": {
			Spec{DenyOut: []string{everywhere}, AllowOut: []string{"203.0.113.0/24", "203.0.113.128/25", "198.51.100.1"}},
			[]string{"203.0.113.9", "203.0.113.200", "198.51.100.1"},
			[]string{"198.51.100.2"},
		},
		"allowed beats no internet": {Spec{DenyInternet: true, AllowOut: []string{"203.0.113.9"}}, []string{"203.0.113.9"}, []string{"203.0.113.8"}},
		"nothing opens what is forbidden": {
			Spec{DenyOut: []string{everywhere}, AllowOut: []string{everywhere}},
			[]string{"1.1.1.1"},
			[]string{"10.0.0.1", "169.254.169.254"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy := parse(t, test.spec)
			for _, address := range test.reachable {
				require.True(t, policy.AllowsAddress(netip.MustParseAddr(address)), address)
			}
			for _, address := range test.denied {
				require.False(t, policy.AllowsAddress(netip.MustParseAddr(address)), address)
			}
		})
	}
}

func TestPolicy_DecidesByDomain(t *testing.T) {
	policy := parse(t, Spec{
		DenyOut:  []string{everywhere},
		AllowOut: []string{"Example.com.", "*.example.org", "bücher.example"},
	})
	for name, allowed := range map[string]bool{
		"example.com": true, "www.example.com": false, "notexample.com": false, "example.com.evil.net": false,
		"example.org": false, "a.example.org": true, "a.b.example.org": true, "xexample.org": false,
		"xn--bcher-kva.example": true, "": false, "com": false,
	} {
		require.Equal(t, allowed, policy.AllowsDomain(name), name)
		require.Equal(t, allowed, policy.Resolves(name), name)
	}
	require.True(t, parse(t, Spec{DenyInternet: true, AllowOut: []string{"*"}}).AllowsDomain("anything.example"))
	require.True(t, Default().Resolves("anything.example"))
	require.False(t, Closed().Resolves("anything.example"))
}

func TestPolicy_NamedConnectionsNeverGoToForbiddenAddresses(t *testing.T) {
	policy := parse(t, Spec{DenyInternet: true, AllowOut: []string{"example.com"}})
	require.True(t, policy.allowsNamed("example.com", netip.MustParseAddr("203.0.113.9")))
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1"} {
		require.False(t, policy.allowsNamed("example.com", netip.MustParseAddr(address)), address)
	}
	require.False(t, policy.allowsNamed("other.com", netip.MustParseAddr("203.0.113.9")))
}

func TestPolicy_NilDeniesEverything(t *testing.T) {
	var policy *Policy
	require.False(t, policy.AllowsAddress(netip.MustParseAddr("1.1.1.1")))
	require.False(t, policy.AllowsDomain("example.com"))
	require.False(t, policy.Resolves("example.com"))
	require.False(t, policy.Inspects())
	require.Empty(t, policy.Reachable().Ranges())
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	header := func(name, value string) Spec {
		return Spec{Rules: map[string][]Rule{"a.example": {{SetHeaders: map[string]string{name: value}}}}}
	}
	many := slices.Repeat([]string{"203.0.113.9"}, maxDestinations+1)
	tests := map[string]struct {
		spec  Spec
		field string
		err   error
	}{
		"a domain in denyOut":           {Spec{DenyOut: []string{"example.com"}}, "denyOut", ErrDomainInDenyOut},
		"a wildcard in denyOut":         {Spec{DenyOut: []string{"*"}}, "denyOut", ErrDomainInDenyOut},
		"a domain with the rest open":   {Spec{AllowOut: []string{"example.com"}}, "allowOut", ErrDomainNeedsDenyAll},
		"half of it denied":             {Spec{AllowOut: []string{"a.example"}, DenyOut: []string{"0.0.0.0/1"}}, "allowOut", ErrDomainNeedsDenyAll},
		"a private range":               {Spec{AllowOut: []string{"10.1.0.0/16"}}, "allowOut", ErrForbiddenRange},
		"the metadata service":          {Spec{AllowOut: []string{"169.254.169.254"}}, "allowOut", ErrForbiddenRange},
		"a private range, as IPv6":      {Spec{AllowOut: []string{"::ffff:10.0.0.1"}}, "allowOut", ErrForbiddenRange},
		"IPv6":                          {Spec{AllowOut: []string{"2001:db8::/32"}}, "allowOut", ErrIPv6},
		"half a CIDR":                   {Spec{AllowOut: []string{"203.0.113.0/"}}, "allowOut", ErrMalformedDestination},
		"too long a prefix":             {Spec{DenyOut: []string{"203.0.113.0/33"}}, "denyOut", ErrMalformedDestination},
		"an address in octal":           {Spec{AllowOut: []string{"0177.0.0.1"}}, "allowOut", ErrMalformedDestination},
		"an address as a number":        {Spec{AllowOut: []string{"2130706433"}}, "allowOut", ErrMalformedDestination},
		"a wildcard inside":             {Spec{AllowOut: []string{"a.*.example"}}, "allowOut", ErrMalformedDestination},
		"a URL":                         {Spec{AllowOut: []string{"https://example.com"}}, "allowOut", ErrMalformedDestination},
		"a port":                        {Spec{AllowOut: []string{"example.com:443"}}, "allowOut", ErrMalformedDestination},
		"nothing":                       {Spec{AllowOut: []string{""}}, "allowOut", ErrMalformedDestination},
		"too long a name":               {Spec{AllowOut: []string{strings.Repeat("a.", 200) + "com"}}, "allowOut", ErrMalformedDestination},
		"too many":                      {Spec{AllowOut: many}, "allowOut", ErrTooMany},
		"too many denied":               {Spec{DenyOut: many}, "denyOut", ErrTooMany},
		"a rule for everything":         {Spec{Rules: map[string][]Rule{"*": {}}}, "rules", ErrMalformedDomain},
		"a rule for an address":         {Spec{Rules: map[string][]Rule{"203.0.113.9": {}}}, "rules", ErrMalformedDomain},
		"a header that breaks the line": {header("X-A", "b\r\nEvil: c"), "rules.headers", ErrMalformedHeader},
		"a header without a name":       {header("", "b"), "rules.headers", ErrMalformedHeader},
		"the Host header":               {header("host", "b"), "rules.headers", ErrReservedHeader},
		"the body's length":             {header("content-length", "1"), "rules.headers", ErrReservedHeader},
		"an identity without a token":   {header("Authorization", "${e2b.identity.tokens.}"), "rules.headers", placeholder.ErrMalformed},
		"a mask that breaks the line":   {Spec{MaskRequestHost: "a\r\nEvil: b"}, "maskRequestHost", ErrMalformedHost},
		"too slow to live":              {Spec{Limits: Limits{UploadBytesPerSecond: 1}}, "limits", ErrRateTooLow},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(test.spec)
			var wrong *SpecError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, test.field, wrong.Field)
			require.ErrorIs(t, err, test.err)
		})
	}
}

func TestWithin_TakesTheTighterLimit(t *testing.T) {
	host := Limits{UploadBytesPerSecond: 1_000_000, Connections: 100}
	for _, test := range []struct{ own, want Limits }{
		{Limits{}, host},
		{Limits{UploadBytesPerSecond: 20_000, DownloadBytesPerSecond: 30_000, Connections: 200}, Limits{20_000, 30_000, 100}},
		{Limits{UploadBytesPerSecond: 2_000_000, Connections: 1}, Limits{1_000_000, 0, 1}},
	} {
		policy := parse(t, Spec{Limits: test.own, DenyOut: []string{"203.0.113.0/24"}}).Within(host)
		require.Equal(t, test.want, policy.Limits())
		require.Equal(t, test.want, policy.Within(host).Limits())
		require.False(t, policy.AllowsAddress(netip.MustParseAddr("203.0.113.9")), "what it decides is the same")
	}
}

func TestParse_CarriesTheMask(t *testing.T) {
	require.Equal(t, "localhost:${PORT}", parse(t, Spec{MaskRequestHost: "localhost:${PORT}"}).MaskRequestHost())
}

func TestParse_NeverRepeatsAHeadersValue(t *testing.T) {
	_, err := Parse(Spec{Rules: map[string][]Rule{"a.example": {{SetHeaders: map[string]string{"Bad Name": "secret-token"}}}}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret-token")
}

func TestTransform_TakesTheMostExactRule(t *testing.T) {
	set := func(value string) []Rule { return []Rule{{SetHeaders: map[string]string{"x-rule": value}}} }
	policy := parse(t, Spec{Rules: map[string][]Rule{
		"api.example.com": set("exact"), "*.example.com": set("short"), "*.deep.example.com": set("long"),
	}})
	for name, want := range map[string]string{
		"api.example.com": "exact", "www.example.com": "short", "a.b.deep.example.com": "long", "deep.example.com": "short",
	} {
		found, ok := policy.transformFor(name)
		require.True(t, ok, name)
		header := http.Header{"X-Rule": {"the guest's"}}
		found.apply(header)
		require.Equal(t, []string{want}, header["X-Rule"], name)
	}
	_, ok := policy.transformFor("example.com")
	require.False(t, ok, "a wildcard is not for the domain itself")
}

func TestTransform_AppliesRulesInOrder(t *testing.T) {
	policy := parse(t, Spec{Rules: map[string][]Rule{"a.example": {
		{SetHeaders: map[string]string{"X-One": "1", "X-Two": "1"}},
		{SetHeaders: map[string]string{"X-Two": "2"}, RemoveHeaders: []string{"x-one", "X-Guest"}},
	}}})
	found, ok := policy.transformFor("a.example")
	require.True(t, ok)
	header := http.Header{"X-Guest": {"g"}, "X-Other": {"o"}, "X-One": {"guest"}}
	found.apply(header)
	require.Equal(t, http.Header{"X-Two": {"2"}, "X-Other": {"o"}}, header)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"203.0.113.0/24", "*.example.com", "*", "::ffff:10.0.0.1", "0x7f.1", "a..b", "xn--", "1.2.3.4."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		policy, err := Parse(Spec{DenyInternet: true, AllowOut: []string{entry}})
		if err != nil {
			return
		}
		require.True(t, policy.AllowsDomains() || len(policy.Reachable().Ranges()) > 0, "what is taken has a meaning")
		for _, address := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.0.1", "::1"} {
			require.False(t, policy.AllowsAddress(netip.MustParseAddr(address)))
		}
		if normal, ok := normaliseDomain(entry); ok {
			again, ok := normaliseDomain(normal)
			require.True(t, ok)
			require.Equal(t, normal, again)
		}
	})
}

func TestParse_RefusesAProxyThatCannotBeOne(t *testing.T) {
	t.Parallel()
	authority, err := NewAuthority()
	require.NoError(t, err)
	for _, sound := range []Upstream{
		{Address: "proxy.example.com:1080"},
		{Address: "198.51.100.7:65535", Username: "user"},
		{Address: "10.0.0.1:1080"}, // a host may allow it
		{Address: "PROXY.example.com:1", TLS: true, ServerName: "198.51.100.7", CACert: string(authority.Certificate())},
	} {
		policy, err := Parse(Spec{Upstream: sound})
		require.NoError(t, err, sound)
		require.True(t, policy.Tunnels())
		require.Empty(t, policy.Reachable().Ranges(), "nothing goes out directly")
	}
	long := strings.Repeat("x", longestCredential+1)
	for _, test := range []struct {
		upstream Upstream
		err      error
	}{
		{Upstream{Username: "user"}, ErrMalformedAddress},
		{Upstream{Address: "proxy.example.com"}, ErrMalformedAddress},
		{Upstream{Address: "proxy.example.com:0"}, ErrMalformedAddress},
		{Upstream{Address: "proxy.example.com:65536"}, ErrMalformedAddress},
		{Upstream{Address: "socks5://proxy.example.com:1080"}, ErrMalformedAddress},
		{Upstream{Address: "a b:1080"}, ErrMalformedAddress},
		{Upstream{Address: "[2001:db8::1]:1080"}, ErrIPv6},
		{Upstream{Address: "a.example:1", Password: "alone"}, ErrMalformedCredentials},
		{Upstream{Address: "a.example:1", Username: long}, ErrMalformedCredentials},
		{Upstream{Address: "a.example:1", Username: "user", Password: long}, ErrMalformedCredentials},
		{Upstream{Address: "a.example:1", ServerName: "b.example"}, ErrTLSOff},
		{Upstream{Address: "a.example:1", CACert: string(authority.Certificate())}, ErrTLSOff},
		{Upstream{Address: "a.example:1", TLS: true, ServerName: "a b"}, ErrMalformedDomain},
		{Upstream{Address: "a.example:1", TLS: true, CACert: "nothing"}, ErrMalformedCertificate},
	} {
		_, err := Parse(Spec{Upstream: test.upstream})
		require.ErrorIs(t, err, test.err, test.upstream)
		require.NotContains(t, err.Error(), "alone", "no password in a message")
	}
}
