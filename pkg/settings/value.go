package settings

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// none is how a limit is written that is not there.
const none = "none"

// hidden is shown in place of a secret.
const hidden = "***"

var (
	durationType = reflect.TypeFor[time.Duration]()
	networksType = reflect.TypeFor[[]netip.Prefix]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// set puts a value into the field. The error continues the sentence that the
// setting's name begins.
func (s *Setting) set(text string) error {
	value, err := s.parse(text)
	if err == nil {
		s.field.Set(value)
	}
	return err
}

// parse reads a value of the field's type. An empty text is its zero value.
func (s *Setting) parse(text string) (reflect.Value, error) {
	kind := s.field.Type()
	if text == "" || text == none && kind.Kind() == reflect.Pointer {
		return reflect.Zero(kind), nil
	}
	if len(s.choices) > 0 && !slices.Contains(s.choices, text) {
		return reflect.Value{}, errors.New("must be " + oneOf(s.choices))
	}
	value := reflect.New(kind).Elem()
	into := value
	if kind.Kind() == reflect.Pointer {
		value.Set(reflect.New(kind.Elem()))
		into = value.Elem()
	}
	return value, s.parseInto(into, text)
}

// parseInto reads one value.
func (s *Setting) parseInto(into reflect.Value, text string) (err error) {
	switch {
	case into.Type() == durationType:
		var parsed time.Duration
		if parsed, err = time.ParseDuration(text); err != nil || parsed <= 0 {
			return s.must("a positive duration, such as 24h")
		}
		into.SetInt(int64(parsed))
	case into.Type() == networksType:
		networks, err := parseNetworks(text)
		if err != nil {
			return s.must("networks such as 10.1.0.0/16, separated by commas")
		}
		into.Set(reflect.ValueOf(networks))
	case reflect.PointerTo(into.Type()).Implements(textType):
		if into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) != nil {
			return s.must(fmt.Sprintf("a %s", into.Type()))
		}
	default:
		return s.parseKind(into, text)
	}
	return nil
}

func (s *Setting) parseKind(into reflect.Value, text string) error {
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
	case reflect.Bool:
		parsed, err := strconv.ParseBool(text)
		if err != nil {
			return s.must("true or false")
		}
		into.SetBool(parsed)
	case reflect.Int, reflect.Int64:
		parsed, err := strconv.ParseInt(text, 10, 64)
		if err != nil || into.OverflowInt(parsed) || !s.bounds.hold(float64(parsed)) {
			return s.must("a whole number" + s.inRange())
		}
		into.SetInt(parsed)
	case reflect.Float64:
		parsed, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(parsed) || math.IsInf(parsed, 0) || !s.bounds.hold(parsed) {
			return s.must("a number" + s.inRange())
		}
		into.SetFloat(parsed)
	case reflect.Slice:
		into.Set(reflect.ValueOf(split(text)).Convert(into.Type()))
	default:
		panic("settings: " + s.Name + " is of the type " + into.Type().String())
	}
	return nil
}

// must says what the value has to be, where its tag does not.
func (s *Setting) must(form string) error {
	if s.form != "" {
		form = s.form
	}
	return errors.New("must be " + form)
}

// inRange continues a sentence about a number.
func (s *Setting) inRange() string {
	text := s.bounds.String()
	if s.field.Kind() == reflect.Pointer {
		text += ", or " + none
	}
	return text
}

func (b bounds) hold(value float64) bool {
	return (b.least == nil || value >= *b.least) && (b.most == nil || value <= *b.most)
}

// String continues a sentence about a number; without bounds it is empty.
func (b bounds) String() string {
	switch {
	case b.least != nil && b.most != nil:
		return fmt.Sprintf(" from %s to %s", formatFloat(*b.least), formatFloat(*b.most))
	case b.least != nil:
		return " of at least " + formatFloat(*b.least)
	case b.most != nil:
		return " of at most " + formatFloat(*b.most)
	default:
		return ""
	}
}

func formatFloat(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

// split takes texts that are separated by commas.
func split(text string) []string {
	var values []string
	for value := range strings.SplitSeq(text, ",") {
		if value = strings.TrimSpace(value); value != "" {
			values = append(values, value)
		}
	}
	return values
}

func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, value := range split(text) {
		network, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// oneOf lists choices for a message: "text or json".
func oneOf(choices []string) string {
	last := len(choices) - 1
	if last < 1 {
		return strings.Join(choices, "")
	}
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

// format writes a value as a source would have it, secrets hidden.
func (s *Setting) format() string {
	text := formatted(s.field)
	switch {
	case text == "":
		return ""
	case s.secret == "url":
		return redacted(text)
	case s.secret != "":
		return hidden
	default:
		return text
	}
}

func formatted(value reflect.Value) string {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return none
		}
		value = value.Elem()
	}
	switch held := value.Interface().(type) {
	case time.Duration:
		return formatDuration(held)
	case []netip.Prefix:
		texts := make([]string, len(held))
		for i, network := range held {
			texts[i] = network.String()
		}
		return strings.Join(texts, ",")
	case []string:
		return strings.Join(held, ",")
	case float64:
		return formatFloat(held)
	case slog.Level:
		return strings.ToLower(held.String())
	case fmt.Stringer:
		return held.String()
	default:
		return fmt.Sprint(held)
	}
}

// formatDuration leaves out minutes and seconds of zero: 24h, not 24h0m0s.
func formatDuration(duration time.Duration) string {
	text := duration.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// redacted hides the password of a URL, and all of what is none.
func redacted(text string) string {
	address, err := url.Parse(text)
	if err != nil || address.Scheme == "" {
		return hidden
	}
	return address.Redacted()
}
