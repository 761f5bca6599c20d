package db

// Network is how traffic may reach a sandbox and leave it, as it was asked for.
type Network struct {
	AllowPublicTraffic *bool    `json:"allowPublicTraffic,omitempty"`
	AllowOut           []string `json:"allowOut,omitempty"`
	DenyOut            []string `json:"denyOut,omitempty"`
}

// Public says whether a sandbox's ports are open to everybody.
func (n Network) Public() bool { return n.AllowPublicTraffic == nil || *n.AllowPublicTraffic }
