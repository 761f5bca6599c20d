package channels

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// Kind is a kind of channel.
type Kind string

// The kinds of channels.
const (
	Webhook    Kind = "webhook"
	Slack      Kind = "slack"
	Discord    Kind = "discord"
	Teams      Kind = "teams"
	GoogleChat Kind = "google_chat"
	Telegram   Kind = "telegram"
	Matrix     Kind = "matrix"
	Email      Kind = "email"
)

// Kinds are all kinds of channels.
func Kinds() []Kind {
	return []Kind{Webhook, Slack, Discord, Teams, GoogleChat, Telegram, Matrix, Email}
}

const (
	maxURLBytes    = 2048
	maxTextBytes   = 256
	maxRecipients  = 10
	minSecretBytes = 16
	telegramURL    = "https://api.telegram.org"
)

// Config is where a channel sends to, and its credentials. Each kind has fields of its
// own. A config is secret as a whole.
type Config struct {
	// URL is where webhook, slack, discord, teams and google_chat send to. For telegram
	// and matrix it is the server.
	URL string
	// Secret signs webhooks. Where it is empty one is made.
	Secret string
	// Token is that of a bot of telegram, or of a user of matrix.
	Token string
	// ChatID is a chat of telegram.
	ChatID string
	// RoomID is a room of matrix.
	RoomID string
	// To are the recipients of email.
	To []string
}

var (
	telegramToken = regexp.MustCompile(`^[0-9]{1,20}:[A-Za-z0-9_-]{10,100}$`)
	telegramChat  = regexp.MustCompile(`^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$`)
	matrixRoom    = regexp.MustCompile(`^![^\s/?#\x00]{1,200}$`)
	headerValue   = regexp.MustCompile(`^[\x21-\x7e]+$`)
)

// checked refuses a config that does not fit its kind, and fills in defaults. A field
// that the kind does not have is refused, because its value would be lost.
func (c Config) checked(kind Kind) (Config, error) {
	allowed, known := fieldsOf[kind]
	if !known {
		return c, fault.New(fault.Invalid, "kind must be one of %s", kindNames())
	}
	for name, set := range map[string]bool{
		"url": c.URL != "", "secret": c.Secret != "", "token": c.Token != "",
		"chatID": c.ChatID != "", "roomID": c.RoomID != "", "to": len(c.To) > 0,
	} {
		if set && !slices.Contains(allowed, name) {
			return c, fault.New(fault.Invalid, "config.%s means nothing to a channel of kind %s", name, kind)
		}
	}
	return c.complete(kind)
}

// fieldsOf are the fields that the config of each kind may have.
var fieldsOf = map[Kind][]string{
	Webhook: {"url", "secret"}, Slack: {"url"}, Discord: {"url"}, Teams: {"url"}, GoogleChat: {"url"},
	Telegram: {"url", "token", "chatID"}, Matrix: {"url", "token", "roomID"}, Email: {"to"},
}

func kindNames() string {
	var names []string
	for _, kind := range Kinds() {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

// complete checks the values of a config and fills in defaults.
func (c Config) complete(kind Kind) (Config, error) {
	if kind == Email {
		return c, c.checkRecipients()
	}
	if kind == Telegram && c.URL == "" {
		c.URL = telegramURL
	}
	if err := checkURL(c.URL); err != nil {
		return c, err
	}
	switch {
	case kind == Webhook && c.Secret == "":
		c.Secret = newSecret()
	case kind == Webhook && (len(c.Secret) < minSecretBytes || len(c.Secret) > maxTextBytes):
		return c, fault.New(fault.Invalid, "config.secret must have from %d to %d bytes", minSecretBytes, maxTextBytes)
	case kind == Telegram && !telegramToken.MatchString(c.Token):
		return c, fault.New(fault.Invalid, "config.token must be a bot's token, such as 123456:ABC-DEF…")
	case kind == Telegram && !telegramChat.MatchString(c.ChatID):
		return c, fault.New(fault.Invalid, "config.chatID must be a chat's number or @name")
	case kind == Matrix && (len(c.Token) > maxTextBytes || !headerValue.MatchString(c.Token)):
		return c, fault.New(fault.Invalid, "config.token must be an access token")
	case kind == Matrix && !matrixRoom.MatchString(c.RoomID):
		return c, fault.New(fault.Invalid, "config.roomID must be a room's ID, such as !abc:example.org")
	}
	return c, nil
}

func (c Config) checkRecipients() error {
	if len(c.To) == 0 || len(c.To) > maxRecipients {
		return fault.New(fault.Invalid, "config.to must have from 1 to %d addresses", maxRecipients)
	}
	for _, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil || len(to) > maxTextBytes {
			return fault.New(fault.Invalid, "config.to must be mail addresses")
		}
	}
	return nil
}

// checkURL refuses what is no HTTP address. Whether an address may be connected to is
// checked at each connection.
func checkURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || len(text) > maxURLBytes || parsed.Hostname() == "" || parsed.Opaque != "" {
		return fault.New(fault.Invalid, "config.url must be an address such as https://example.com/hook")
	}
	if parsed.Scheme != "https" && parsed.Scheme != "http" {
		return fault.New(fault.Invalid, "config.url must begin with https://")
	}
	if parsed.User != nil || parsed.Fragment != "" {
		return fault.New(fault.Invalid, "config.url must have neither a user nor a fragment")
	}
	return nil
}

// target is the part of a config that is not secret.
func (c Config) target(kind Kind) string {
	switch kind {
	case Email:
		return strings.Join(c.To, ", ")
	case Telegram:
		return c.ChatID
	case Matrix:
		return c.RoomID
	default:
		parsed, err := url.Parse(c.URL)
		if err != nil {
			return ""
		}
		// The path is often the secret.
		return parsed.Scheme + "://" + parsed.Host
	}
}
