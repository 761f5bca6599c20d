package config

// Mail is how mail is sent.
type Mail struct {
	// Address is the host and port of a mail server; empty shows mail on the
	// console instead.
	Address  string
	Username string
	// PasswordFile is empty where the server asks for no password.
	PasswordFile string
	// Security is "starttls", "tls" or "none".
	Security string
	// From is the sender of all mail.
	From string
}

func (r *reader) mail() Mail {
	return Mail{
		Address:      r.text("WRENN_SMTP_ADDRESS", ""),
		Username:     r.text("WRENN_SMTP_USERNAME", ""),
		PasswordFile: r.text("WRENN_SMTP_PASSWORD_FILE", ""),
		Security:     r.choice("WRENN_SMTP_SECURITY", "starttls", "tls", "none"),
		From:         r.text("WRENN_MAIL_FROM", "Wrenn <wrenn@localhost>"),
	}
}
