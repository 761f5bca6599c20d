import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button, Field } from "./controls";
import { ErrorNote } from "./notes";

interface DialogProps {
  title: string;
  onClose: () => void;
  onSubmit?: () => Promise<void>;
  submit?: string;
  danger?: boolean;
  /** The submit button is disabled. */
  blocked?: boolean;
  narrow?: boolean;
  children: ReactNode;
}

/**
 * A modal dialog. It stays open with the error where onSubmit fails, and closes itself
 * where it succeeds.
 */
export function Dialog({ title, onClose, onSubmit, submit, danger, blocked, narrow, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  async function send(event: FormEvent) {
    event.preventDefault();
    if (onSubmit === undefined || busy) return;
    setBusy(true);
    setError(null);
    try {
      await onSubmit();
      onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  }
  return (
    <dialog
      ref={element}
      aria-labelledby={heading}
      className={narrow ? "narrow" : undefined}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <form onSubmit={send}>
        <header>
          <h2 id={heading}>{title}</h2>
        </header>
        <div className="content">
          {children}
          {error !== null && <ErrorNote error={error} />}
        </div>
        <footer>
          <Button onClick={onClose}>{onSubmit === undefined ? "Close" : "Cancel"}</Button>
          {onSubmit !== undefined && (
            <Button type="submit" kind={danger ? "danger filled" : "primary"} disabled={busy || blocked}>
              {busy ? "Working…" : (submit ?? "Save")}
            </Button>
          )}
        </footer>
      </form>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ReactNode;
  action: string;
  /** What has to be typed first: the name of what is lost. */
  typed?: string;
  onClose: () => void;
  onConfirm: () => Promise<void>;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, children, action, typed, onClose, onConfirm }: ConfirmProps) {
  const [text, setText] = useState("");
  return (
    <Dialog
      title={title}
      narrow
      danger
      submit={action}
      blocked={typed !== undefined && text !== typed}
      onClose={onClose}
      onSubmit={onConfirm}
    >
      {children}
      {typed !== undefined && (
        <Field
          label={`Type ${typed} to confirm`}
          value={text}
          autoComplete="off"
          onChange={(event) => setText(event.target.value)}
        />
      )}
    </Dialog>
  );
}
