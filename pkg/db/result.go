package db

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrNoRow says that the row to be read or changed does not exist.
var ErrNoRow = errors.New("there is no such row")

// Wrap says what failed. Where the row does not exist it returns ErrNoRow alone.
func Wrap(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNoRow
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// WrapCount is Wrap for a statement that returns how many rows it changed.
func WrapCount(count int64, err error, doing string) error {
	if err == nil && count == 0 {
		return ErrNoRow
	}
	return Wrap(err, doing)
}

// OrElse replaces ErrNoRow.
func OrElse(err, missing error) error {
	if errors.Is(err, ErrNoRow) {
		return missing
	}
	return err
}
