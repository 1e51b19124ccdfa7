import assert from 'node:assert/strict';
import { renderChat, type ChatMessage } from '../../../src/checkpoint/chatTemplate.ts';
import type { Tokenizer } from '../../../src/checkpoint/tokenizer.ts';

const talk: ChatMessage[] = [
  { role: 'system', content: 'S😀' },
  { role: 'user', content: '  one\n' },
  { role: 'assistant', content: "it's" },
  { role: 'user', content: 'two' },
];

function render(chatTemplate: string, variables?: Record<string, unknown>): string | undefined {
  const tokenizer = { chatTemplate, specialTokens: { bos: '<s>', eos: '</s>' } } as unknown as Tokenizer;
  return renderChat(tokenizer, talk, variables);
}

// The texts expected here are those of Jinja2 3.1 in the environment of transformers' chat templates.
describe('chat templates', () => {
  it('see None for tools and documents', () => {
    assert.equal(
      render('{{ tools is none }} {{ documents is none }} {{ tools is defined }}'),
      'True True True',
    );
    assert.equal(render('{% if tools is not none %}[{{ tools | tojson }}]{% endif %}{{ bos_token }}'), '<s>');
    assert.equal(render('{% if not tools is defined %}x{% elif tools %}y{% else %}z{% endif %}'), 'z');
    assert.equal(render('{% for d in documents or [] %}{{ d }}{% else %}none{% endfor %}'), 'none');
    assert.equal(render('{{ tools | tojson }}', { tools: [{ name: 'f' }] }), '[{"name": "f"}]');
    assert.equal(render('{{ enable_thinking is defined }}{{ thing }}'), 'False');
  });

  it('keep what an iteration wrote before break and continue', () => {
    assert.equal(
      render(
        '{% for m in messages %}<{{ m.role }}>{% if loop.index == 2 %}{% break %}{% endif %}.{% endfor %}!',
      ),
      '<system>.<user>!',
    );
    assert.equal(
      render(
        '{% for m in messages %}{{ loop.index }}{% if m.role == "user" %}u{% continue %}{% endif %}-{% endfor %}',
      ),
      '1-2u3-4u',
    );
    const nested =
      '{% for m in messages %}{% for n in messages %}{{ loop.index }}{% if n.role == "user" %}{% break %}{% endif %}.' +
      '{% endfor %}|{% if loop.index == 2 %}{% if true %}a{% break %}b{% endif %}c{% endif %}-{% endfor %}e';
    assert.equal(render(nested), '1.2|-1.2|ae');
    const macro =
      '{% macro first(list) %}{% for x in list %}{{ x.role }}{% break %}{% endfor %}{% endmacro %}' +
      '{% for m in messages %}{{ first(messages[2:]) }}{% continue %}{% endfor %}';
    assert.equal(render(macro), 'assistant'.repeat(4));
    const recursive =
      '{% macro f(n) %}{% for i in range(n) %}{{ n }}{% if i == 1 %}{{ f(n - 1) }}{% break %}{% endif %},{% endfor %}' +
      '{% endmacro %}{{ f(3) }}';
    assert.equal(render(recursive), '3,32,21,');
    // Jinja counts an iteration when it ends by itself.
    assert.equal(render('{% for m in messages %}a{% break %}{% else %}b{% endfor %}'), 'ab');
    assert.equal(
      render('{% for m in messages %}a{% if loop.last %}{% break %}{% endif %}{% else %}b{% endfor %}'),
      'aaaa',
    );
  });

  it('see one day, by all directives of strftime', () => {
    const day = (format: string): string | undefined => render(`{{ strftime_now('${format}') }}`);
    assert.equal(day('%a %-d. %B %Y, %H:%M'), 'Fri 26. July 2024, 00:00');
    assert.equal(day('%d %b %y'), '26 Jul 24');
    assert.equal(day('%-I:%M %p, %-m/%_d'), '12:00 AM, 7/26');
    assert.equal(day('%j %U %W %V %u %w'), '208 29 30 30 5 5');
    assert.equal(
      day('%c|%x|%X|%F|%D|%R'),
      'Fri Jul 26 00:00:00 2024|07/26/24|00:00:00|2024-07-26|07/26/24|00:00',
    );
    assert.equal(day('%S.%f %z%Z 100%% %^a'), '00.000000  100% FRI');
    assert.equal(day('%Q'), '%Q');
  });

  it('print, strip and measure as Python does', () => {
    assert.equal(
      render('{{ true }} {{ none }} {{ 2.0 }} {{ 1 == 2 }} {{ nothing }}'),
      'True None 2.0 False ',
    );
    assert.equal(render("{{ [1, true, none, 'a', \"it's\", 'q\"'] }}"), `[1, True, None, 'a', "it's", 'q"']`);
    assert.equal(render('{{ messages[2] }}'), `{'role': 'assistant', 'content': "it's"}`);
    assert.equal(render("{{ ['a\\n\\\\'] }}{{ (1, 2) }}"), "['a\\n\\\\'](1, 2)");
    assert.equal(render("{{ '<t>x</t>  y'.split('</t>')[-1].lstrip('\\n') }}"), '  y');
    assert.equal(
      render("{{ 'xxaxx'.strip('x') }}{{ '-a-'.rstrip('-') }}{{ messages[1].content.rstrip() }}"),
      'a-a  one',
    );
    assert.equal(render('{{ messages[1].content | trim }}{{ "\ufeffa\u001c".strip() | length }}'), 'one2');
    assert.equal(
      render('{{ messages[0].content | length }}{{ messages | length }}{{ messages | count }}'),
      '244',
    );
    assert.equal(render('{% set x %}{{ true }}{% endset %}{{ x }}{% set y = none %}{{ y }}'), 'TrueNone');
  });

  it('say what they refuse, and run no endless loop', () => {
    assert.throws(() => render("{{ raise_exception('no system role') }}"), {
      name: 'UserError',
      message: /cannot be used for this prompt: no system role/,
    });
    assert.throws(() => render('{% for m in messages %}'), { name: 'UserError' });
    assert.throws(() => render('{{ range(999999999) | length }}'), {
      name: 'UserError',
      message: /range\(\)/,
    });
    assert.throws(() => render('{{ range(1, 2, 0) }}'), { name: 'UserError' });
    assert.equal(
      render('{{ range(3) | list }}{{ range(5, 0, -2) }}{{ range(2, 2) }}'),
      '[0, 1, 2][5, 3, 1][]',
    );
    assert.equal(renderChat({ specialTokens: {} } as unknown as Tokenizer, talk), undefined);
  });
});
