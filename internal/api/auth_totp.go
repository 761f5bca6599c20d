package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// codeBody is a code of a second factor, or a recovery code in its place.
type codeBody struct {
	Code string `json:"code"`
}

type recoveryCodesAnswer struct {
	RecoveryCodes []string `json:"recoveryCodes"`
}

func (s *Server) secondFactor(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Challenge string `json:"challenge"`
		Code      string `json:"code"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	session, err := s.Identity.SecondFactor(r.Context(), body.Challenge, body.Code, s.clientOf(r))
	if err != nil {
		return err
	}
	s.answerSession(w, r, session)
	return nil
}

func (s *Server) enrolTOTP(w http.ResponseWriter, r *http.Request) error {
	enrolment, err := s.Identity.EnrolTOTP(r.Context(), auth.PrincipalOf(r.Context()))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Secret string `json:"secret"`
		URL    string `json:"url"`
	}{enrolment.Secret, enrolment.URL})
	return nil
}

func (s *Server) confirmTOTP(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := decode(r, &body); err != nil {
		return err
	}
	codes, err := s.Identity.ConfirmTOTP(r.Context(), auth.PrincipalOf(r.Context()), body.Code, s.clientOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, recoveryCodesAnswer{codes})
	return nil
}

func (s *Server) newRecoveryCodes(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := decode(r, &body); err != nil {
		return err
	}
	codes, err := s.Identity.NewRecoveryCodes(r.Context(), auth.PrincipalOf(r.Context()), body.Code, s.clientOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, recoveryCodesAnswer{codes})
	return nil
}

func (s *Server) removeTOTP(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := decode(r, &body); err != nil {
		return err
	}
	return noContent(w, s.Identity.RemoveTOTP(r.Context(), auth.PrincipalOf(r.Context()), body.Code, s.clientOf(r)))
}
