package boot

import "context"

// Make runs a step that makes a part, and returns the part.
func Make[T any](ctx context.Context, s *Sequence, name string, build func(ctx context.Context) (T, error)) (part T, err error) {
	err = s.Step(ctx, name, func(ctx context.Context) (err error) {
		part, err = build(ctx)
		return err
	})
	return part, err
}
