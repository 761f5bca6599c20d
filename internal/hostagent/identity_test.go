package hostagent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

func (a *agentUnderTest) signingKeyID(t *testing.T) string {
	t.Helper()
	info, err := a.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
	require.NoError(t, err)
	return info.Msg.SigningKeyId
}

// audienceOf reads the audience of the token "aws" in a sandbox's record.
func audienceOf(t *testing.T, dataDir, id string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dataDir, "storage", "sandboxes", id, "sandbox.json"))
	require.NoError(t, err)
	var record struct{ Workload workload.Identity }
	require.NoError(t, json.Unmarshal(content, &record))
	return record.Workload.Tokens["aws"].Audience
}

// testSigningKey gives the agent a key and searches for it in its files.
func testSigningKey(t *testing.T, a *agentUnderTest, id string) {
	a.restart(t) // an agent that has no key yet
	a.resume(t, id)
	require.Empty(t, a.signingKeyID(t))
	key, err := workload.NewKey("https://wrenn.example.org", time.Now().Add(time.Hour))
	require.NoError(t, err)
	private, err := key.Marshal()
	require.NoError(t, err)
	request := func() *pb.SetSigningKeyRequest {
		return &pb.SetSigningKeyRequest{KeyId: key.ID, PrivateKey: private, Issuer: key.Issuer, NotAfter: timestamppb.New(key.NotAfter)}
	}
	for name, spoil := range map[string]func(*pb.SetSigningKeyRequest){
		"another key's ID": func(r *pb.SetSigningKeyRequest) { r.KeyId = "other" },
		"no key":           func(r *pb.SetSigningKeyRequest) { r.PrivateKey = []byte("key") },
		"no issuer":        func(r *pb.SetSigningKeyRequest) { r.Issuer = "" },
	} {
		spoiled := request()
		spoil(spoiled)
		_, err := a.SetSigningKey(t.Context(), connect.NewRequest(spoiled))
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), name)
		require.Empty(t, a.signingKeyID(t), name)
	}
	_, err = a.SetSigningKey(t.Context(), connect.NewRequest(request()))
	require.NoError(t, err)
	require.Equal(t, key.ID, a.signingKeyID(t))
	a.pause(t, id)
	a.resume(t, id)
	require.Equal(t, key.ID, a.signingKeyID(t), "the key is the host's, not a sandbox's")
	secret := private[len(private)/4 : len(private)/2] // of the private half, which comes first
	err = filepath.WalkDir(a.config.DataDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".json" {
			return err
		}
		content, err := os.ReadFile(path)
		require.False(t, bytes.Contains(content, secret) || bytes.Contains(content, []byte(base64.StdEncoding.EncodeToString(private))[20:60]), path)
		return err
	})
	require.NoError(t, err)
}
