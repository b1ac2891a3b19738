// Hands what is on the page to the user as a file.
export function download(name: string, type: string, content: string): void {
  const address = URL.createObjectURL(new Blob([content], { type }));
  open(name, address);
  URL.revokeObjectURL(address);
}

export function open(name: string, address: string): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

const cell = (value: unknown): string => {
  const text = value == null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const csv = (head: string[], rows: unknown[][]): string => [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
