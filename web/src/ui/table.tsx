import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Page } from "../api/client";
import { Button } from "./controls";
import { ErrorNote, Loading } from "./notes";

export interface Column<T> {
  title: ReactNode;
  cell: (item: T) => ReactNode;
  numeric?: boolean;
  tight?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
}

interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  items: T[];
  keyOf: (item: T) => string;
  chosen?: (item: T) => boolean;
}

function classOf(column: { numeric?: boolean; tight?: boolean; wide?: boolean }): string | undefined {
  const names = [column.numeric && "numeric", column.tight && "tight", column.wide && "wide"].filter(Boolean);
  return names.length > 0 ? names.join(" ") : undefined;
}

export function Table<T>({ label, columns, items, keyOf, chosen }: TableProps<T>) {
  return (
    // A table that is wider than the screen scrolls, with the keyboard, too.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: scrollable regions must be focusable (WCAG 2.1.1)
    <section className="table" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the columns of a table are fixed
              <th key={index} scope="col" className={classOf(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={keyOf(item)} className={chosen?.(item) ? "chosen" : undefined}>
              {columns.map((column, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the columns of a table are fixed
                <td key={index} className={classOf(column)}>
                  {column.cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface ListProps<T> extends Omit<TableProps<T>, "items"> {
  /** What the list depends on: its first element is the kind of thing it shows. */
  queryKey: unknown[];
  load: (nextToken: string | undefined) => Promise<Page<T>>;
  empty: ReactNode;
  header?: ReactNode;
  /** For what changes without events, in milliseconds. */
  refetchInterval?: number;
}

/** A list that the server filters, sorts and cuts into pages. */
export function List<T>({ queryKey, load, empty, header, refetchInterval, ...table }: ListProps<T>) {
  // The tokens of the pages before this one and of this one. Another filter starts at
  // the first page.
  const [place, setPlace] = useState<{ key: string; tokens: string[] }>({ key: "", tokens: [] });
  const key = JSON.stringify(queryKey);
  const tokens = place.key === key ? place.tokens : [];
  const query = useQuery({
    queryKey: [...queryKey, tokens.at(-1) ?? ""],
    queryFn: () => load(tokens.at(-1)),
    refetchInterval,
  });
  const turn = (next: string[]) => setPlace({ key, tokens: next });
  return (
    <section className="panel">
      {header}
      {query.isPending && <Loading />}
      {query.isError && (
        <div className="body">
          <ErrorNote error={query.error} retry={() => query.refetch()} />
        </div>
      )}
      {query.data !== undefined &&
        (query.data.items.length === 0 && tokens.length === 0 ? empty : <Table {...table} items={query.data.items} />)}
      {(tokens.length > 0 || (query.data?.next ?? "") !== "") && (
        <nav className="pages" aria-label={`Pages of ${table.label}`}>
          Page {tokens.length + 1}
          <Button small disabled={tokens.length === 0} onClick={() => turn(tokens.slice(0, -1))}>
            Previous
          </Button>
          <Button
            small
            disabled={(query.data?.next ?? "") === ""}
            onClick={() => turn([...tokens, query.data?.next ?? ""])}
          >
            Next
          </Button>
        </nav>
      )}
    </section>
  );
}
