package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Key names a result in the cache. Equal inputs have equal keys.
type Key string

// keyVersion is raised when earlier results must not be used any more.
const keyVersion = 1

// NewKey hashes what a result depends on. kind tells keys of different sorts apart. inputs
// are encoded as JSON, whose objects have their keys in order.
func NewKey(kind string, inputs ...any) Key {
	encoded, err := json.Marshal(append([]any{keyVersion, kind}, inputs...))
	if err != nil {
		panic(err) // the callers' types can all be encoded
	}
	sum := sha256.Sum256(encoded)
	return Key(hex.EncodeToString(sum[:]))
}

// StepKey is the key of an instruction after a layer, in a context. content stands for the
// files that it copies; empty for none. The layer's ID stands for all that was before:
// a step that ran again has another, and so have all later keys.
func StepKey(layerID string, context Context, instruction Instruction, content string) Key {
	return NewKey("step", layerID, context, fmt.Sprintf("%T", instruction), instruction, content)
}
