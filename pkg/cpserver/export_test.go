package cpserver

import "net/http"

// WithHandlerAround puts something around all that the server answers itself.
func WithHandlerAround(around func(http.Handler) http.Handler) Option {
	return func(o *options) { o.around = around }
}
