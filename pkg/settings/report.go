package settings

// Value is what a setting has, for people and programs to read.
type Value struct {
	Name string `json:"name"`
	Flag string `json:"flag,omitempty"`
	// Value is empty where the setting has none; secrets are "***".
	Value   string `json:"value"`
	Default string `json:"default"`
	// Source is "flag", "environment", "default", or the name of another source.
	Source string `json:"source"`
	Help   string `json:"help"`
}

// Values returns what each setting has after Read.
func (r *Reader) Values() []Value {
	values := make([]Value, 0, len(r.settings))
	for _, s := range r.settings {
		source := s.source
		if source == "" {
			source = SourceDefault
		}
		values = append(values, Value{
			Name: s.Name, Flag: s.Flag, Value: s.format(), Default: s.Default, Source: source, Help: s.Help,
		})
	}
	return values
}
