package config

// Mail is how mail is sent.
type Mail struct {
	// Address is the host and port of a mail server; without it mail is shown on the
	// console.
	Address  string `env:"WRENN_SMTP_ADDRESS" help:"host and port of the mail server; without it mail is shown on the console"`
	Username string `env:"WRENN_SMTP_USERNAME" help:"user name at the mail server"`
	// PasswordFile is empty where the server asks for no password.
	PasswordFile string `env:"WRENN_SMTP_PASSWORD_FILE" help:"file with the password at the mail server"`
	// Security is "starttls", "tls" or "none".
	Security string `env:"WRENN_SMTP_SECURITY" default:"starttls" choices:"starttls,tls,none" help:"starttls, tls or none"`
	// From is the sender of all mail.
	From string `env:"WRENN_MAIL_FROM" default:"Wrenn <wrenn@localhost>" help:"sender of all mail"`
}
