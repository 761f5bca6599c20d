import { type ReactNode, useEffect } from "react";

interface PageProps {
  title: string;
  heading?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  full?: boolean;
}

/** One page: its heading, what can be done there, and its content. */
export function Page({ title, heading, actions, children, full }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Wrenn`;
  }, [title]);
  return (
    <div className={full ? "page full" : "page"}>
      <div className="page-head">
        <h1>{heading ?? title}</h1>
        {actions !== undefined && <div className="actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
