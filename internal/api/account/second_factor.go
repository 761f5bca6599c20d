package account

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// codeBody has a code of a second factor, or a recovery code.
type codeBody struct {
	Code string `json:"code"`
}

type recoveryCodesAnswer struct {
	RecoveryCodes []string `json:"recoveryCodes"`
}

func (h *Handlers) secondFactor(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Challenge string `json:"challenge"`
		Code      string `json:"code"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	session, err := h.Identity.SecondFactor(r.Context(), body.Challenge, body.Code, h.clientOf(r))
	if err != nil {
		return err
	}
	h.answerSession(w, r, session)
	return nil
}

func (h *Handlers) enrolTOTP(w http.ResponseWriter, r *http.Request) error {
	enrolment, err := h.Identity.EnrolTOTP(r.Context(), auth.PrincipalOf(r.Context()))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Secret string `json:"secret"`
		URL    string `json:"url"`
	}{enrolment.Secret, enrolment.URL})
	return nil
}

func (h *Handlers) confirmTOTP(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	codes, err := h.Identity.ConfirmTOTP(r.Context(), auth.PrincipalOf(r.Context()), body.Code, h.clientOf(r))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, recoveryCodesAnswer{codes})
	return nil
}

func (h *Handlers) newRecoveryCodes(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	codes, err := h.Identity.NewRecoveryCodes(r.Context(), auth.PrincipalOf(r.Context()), body.Code, h.clientOf(r))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, recoveryCodesAnswer{codes})
	return nil
}

func (h *Handlers) removeTOTP(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	return respond.NoContent(w, h.Identity.RemoveTOTP(r.Context(), auth.PrincipalOf(r.Context()), body.Code, h.clientOf(r)))
}
