package id

// Shorten bounds the length of a client's text in a message.
func Shorten(text string) string {
	const longest = 64
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}
