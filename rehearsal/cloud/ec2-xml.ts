/** Altering EC2's XML answers without losing what we do not look at: parsed in order, changed, written back. */
import { XMLBuilder, XMLParser } from 'fast-xml-parser';

/** One element in order-preserving form: `{ tag: children, ':@'?: attributes }`, or `{ '#text': … }`. */
export type XmlNode = Record<string, unknown>;

const OPTIONS = {
  preserveOrder: true,
  ignoreAttributes: false,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
} as const;

const parser = new XMLParser({ ...OPTIONS, processEntities: true });
const builder = new XMLBuilder({ ...OPTIONS, processEntities: true, suppressEmptyNode: false });

export const parseXml = (body: Buffer): XmlNode[] => parser.parse(body.toString('utf8')) as XmlNode[];
export const buildXml = (nodes: XmlNode[]): Buffer => Buffer.from(builder.build(nodes));

const tagOf = (node: XmlNode): string | undefined => Object.keys(node).find((key) => key !== ':@');

export const childrenOf = (node: XmlNode): XmlNode[] => {
  const tag = tagOf(node);
  const inner = tag === undefined ? undefined : node[tag];
  return Array.isArray(inner) ? (inner as XmlNode[]) : [];
};

export const find = (nodes: XmlNode[], tag: string): XmlNode | undefined => nodes.find((node) => tag in node);

/** The root element (the XML declaration comes first and is not it). */
export function rootOf(nodes: XmlNode[]): XmlNode {
  const root = nodes.find((node) => !tagOf(node)?.startsWith('?') && tagOf(node) !== '#text');
  if (root === undefined)
    throw new Error(`an XML answer without a root element: ${JSON.stringify(nodes).slice(0, 200)}`);
  return root;
}

export function textOf(nodes: XmlNode[], tag: string): string {
  const node = find(nodes, tag);
  const text = node === undefined ? undefined : find(childrenOf(node), '#text')?.['#text'];
  return typeof text === 'string' || typeof text === 'number' ? String(text) : '';
}

const textNode = (text: string): XmlNode[] => (text === '' ? [] : [{ '#text': text }]);

/** Replaces (or adds) a child element that holds text. */
export function setText(nodes: XmlNode[], tag: string, text: string): void {
  setChildren(nodes, tag, textNode(text));
}

export function setChildren(nodes: XmlNode[], tag: string, children: XmlNode[]): void {
  const node = find(nodes, tag);
  if (node === undefined) nodes.push({ [tag]: children });
  else node[tag] = children;
}

export const element = (tag: string, text: string): XmlNode => ({ [tag]: textNode(text) });

export function removeElements(nodes: XmlNode[], tags: readonly string[]): void {
  for (let i = nodes.length - 1; i >= 0; i--) if (tags.some((tag) => tag in nodes[i]!)) nodes.splice(i, 1);
}
