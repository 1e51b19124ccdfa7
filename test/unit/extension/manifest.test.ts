import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';

const root = join(import.meta.dirname, '../../..');
const text = (file: string): string => readFileSync(join(root, file), 'utf8');
interface Media {
  svg?: string;
  image?: Record<'light' | 'dark' | 'hc' | 'hcLight', string>;
}
interface Manifest {
  main: string;
  icon: string;
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
  contributes: {
    commands: { command: string }[];
    menus: Record<string, { command: string; when?: string }[]>;
    keybindings: { command: string }[];
    views: Record<string, { id: string; icon: string }[]>;
    viewsWelcome: { contents: string }[];
    walkthroughs: { steps: { media: Media; completionEvents: string[]; description: string }[] }[];
    configuration: { properties: Record<string, { scope: string; default?: unknown }> };
    chatParticipants: { id: string }[];
    languageModelTools: { name: string }[];
  };
}
const manifest = JSON.parse(text('package.json')) as Manifest;
const strings = JSON.parse(text('package.nls.json')) as Record<string, string>;
const { contributes } = manifest;
const declared = contributes.commands.map(({ command }) => command);

describe('the manifest of the extension', () => {
  it('has every string that it names, and names every string that it has', () => {
    const named = [...text('package.json').matchAll(/"%([^%"]+)%"/g)].map((match) => match[1]!);
    assert.deepEqual([...new Set(named)].sort(), Object.keys(strings).sort());
  });

  it('declares the commands that the code registers', () => {
    const registered = ['commands.ts', 'models/commands.ts', 'training/training.ts', 'prag/prag.ts'].flatMap(
      (file) => {
        const code = text(`src/extension/${file}`);
        const body = /const commands: [\s\S]*?= \{\n([\s\S]*?)\n {2,4}\};/.exec(code)![1]!;
        return [...body.matchAll(/^ {4,6}(\w+): /gm)].map((match) => `springRag.${match[1]!}`);
      },
    );
    const internal = ['springRag.compareQuestion'];
    assert.deepEqual(registered.filter((id) => !internal.includes(id)).sort(), [...declared].sort());
  });

  it('uses declared commands in menus, keys, views and walkthrough', () => {
    const used = [...Object.values(contributes.menus).flat(), ...contributes.keybindings].map(
      ({ command }) => command,
    );
    const links = [
      ...Object.values(strings)
        .join('\n')
        .matchAll(/command:(springRag\.\w+)/g),
    ].map((match) => match[1]!);
    const events = contributes.walkthroughs
      .flatMap(({ steps }) => steps.flatMap(({ completionEvents }) => completionEvents))
      .filter((event) => event.startsWith('onCommand:'))
      .map((event) => event.slice('onCommand:'.length));
    for (const command of [...used, ...links, ...events]) assert.ok(declared.includes(command), command);
  });

  it('hides from the palette what needs a target', () => {
    const hidden = contributes.menus['commandPalette']!.filter(({ when }) => when === 'false').map(
      ({ command }) => command,
    );
    for (const name of ['useTokenFile', 'useModel', 'askAgain', 'removeQuestion']) {
      assert.ok(hidden.includes(`springRag.${name}`), name);
    }
  });

  it('has the settings that the code reads, with a default and a scope', () => {
    const body = /interface SettingTypes \{\n([\s\S]*?)\n\}/.exec(text('src/extension/settings.ts'))![1]!;
    const read = [...body.matchAll(/^ {2}'?([\w.]+)'?: /gm)].map((match) => `springRag.${match[1]!}`);
    const { properties } = contributes.configuration;
    assert.deepEqual(Object.keys(properties).sort(), read.sort());
    for (const [name, { scope, default: value }] of Object.entries(properties)) {
      assert.ok(value !== undefined && scope !== '', name);
    }
  });

  it('restricts in untrusted workspaces every setting that names files to open or devices', () => {
    const { restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    const overridable = Object.entries(contributes.configuration.properties)
      .filter(([, { scope }]) => scope === 'machine-overridable')
      .map(([name]) => name);
    assert.deepEqual([...restrictedConfigurations].sort(), overridable.sort());
  });

  it('has every text of the code in the file for translators, with a placeholder for each value', () => {
    execFileSync(process.execPath, [join(root, 'scripts/strings.mjs'), '--check'], { stdio: 'pipe' });
    const texts = Object.keys(JSON.parse(text('l10n/bundle.l10n.json')) as Record<string, string>);
    for (const one of texts) {
      const places = [...new Set([...one.matchAll(/\{(\d)\}/g)].map((match) => Number(match[1])))].sort();
      assert.deepEqual(places, [...places.keys()], `the placeholders of "${one}" are not 0, 1, 2, ...`);
    }
  });

  it('names pictures that exist', () => {
    const pictures = [
      manifest.icon,
      ...Object.values(contributes.views).flatMap((views) => views.map(({ icon }) => icon)),
      ...contributes.walkthroughs.flatMap(({ steps }) =>
        steps.flatMap(({ media }) => [media.svg ?? [], Object.values(media.image ?? {})].flat()),
      ),
    ];
    for (const picture of pictures) assert.ok(existsSync(join(root, picture)), picture);
  });
});
