package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-containerregistry/pkg/authn"
)

// AWS are keys for Amazon's registry (ECR).
type AWS struct {
	AccessKeyID, SecretAccessKey string
	// Region is such as eu-west-1.
	Region string
}

// awsRegion keeps the region, which becomes part of a host's name, from being another
// host.
var awsRegion = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

// authenticator exchanges the keys for a password of twelve hours.
// Source: Amazon ECR API reference, GetAuthorizationToken.
func (a AWS) authenticator(ctx context.Context, through http.RoundTripper) (authn.Authenticator, error) {
	if !awsRegion.MatchString(a.Region) {
		return nil, &Error{Cause: Unauthorized, Message: "The AWS region of the credentials is not a region's name, such as us-east-1."}
	}
	host := "api.ecr." + a.Region + ".amazonaws.com"
	if strings.HasPrefix(a.Region, "cn-") {
		host += ".cn"
	}
	request, err := a.tokenRequest(ctx, host)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: through}).Do(request)
	if err != nil {
		return nil, explainRegistry(ctx, err, host, host, true)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, explainRegistry(ctx, err, host, host, true)
	}
	switch {
	case response.StatusCode >= http.StatusInternalServerError:
		return nil, &Error{
			Cause: RegistryUnreachable, Message: fmt.Sprintf("Amazon's registry in %s fails with HTTP status %d. Try again later.", a.Region, response.StatusCode),
		}
	case response.StatusCode != http.StatusOK:
		return nil, &Error{
			Cause:   Unauthorized,
			Message: fmt.Sprintf("Amazon's registry in %s refuses the keys. Check them, the region, and that they may call ecr:GetAuthorizationToken.", a.Region),
			Err:     fmt.Errorf("HTTP status %d", response.StatusCode),
		}
	}
	return parseToken(content)
}

func (a AWS) tokenRequest(ctx context.Context, host string) (*http.Request, error) {
	body := []byte("{}")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey}
	err = v4.NewSigner().SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), "ecr", a.Region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign a request to ECR: %w", err)
	}
	return request, nil
}

var errToken = errors.New("ECR's answer has no token")

// parseToken reads base64 of a name, a colon and a password.
func parseToken(content []byte) (authn.Authenticator, error) {
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string `json:"authorizationToken"`
		} `json:"authorizationData"`
	}
	if err := json.Unmarshal(content, &answer); err != nil || len(answer.AuthorizationData) == 0 {
		return nil, errToken
	}
	pair, err := base64.StdEncoding.DecodeString(answer.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		return nil, errToken
	}
	username, password, found := strings.Cut(string(pair), ":")
	if !found {
		return nil, errToken
	}
	return &authn.Basic{Username: username, Password: password}, nil
}
