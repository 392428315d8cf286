"""Ways to ask that ask the same, each brought to one form: what `gist` reads after `phrases`.

The forms: `qhow VERB` (how something is done), `qwhat THING` (what it is), `qgive THING` (wants it), and the doing word
of an order in front, as it is. What a sentence says beside what it asks stays.
"""

from __future__ import annotations

import re

from plugins.cache.semantic.lexicon import plain
from plugins.cache.semantic.sayings import ACTIVE, MADE, PAST, SAYINGS, Written, base
from plugins.cache.semantic.words import listed

NOUN = r"(?:(?:my|the|an?|our|your) )?((?:[\w#+.'-]+ ){0,2}?[\w#+.'-]+)"
SCREENS = (
    r"(?:track|enter|change|update|cancel|download|reset|register|apply|submit|upload|pay|renew|redeem|activate|enable"
    r"|disable|login|request|report|edit|manage|add|leave|file)"
)
"""What is done somewhere on a screen: who asks where, asks how."""
MADE_OF = (
    ("summary|summari[sz]ation|synopsis", "summarize"), ("translation", "translate"), ("comparison", "compare"),
    ("explanation", "qwhat"), ("definition", "qwhat"), ("description", "describe"), ("overview", "summarize"),
    ("list", "qgive"), ("review", "review"), ("calculation", "calculate"), ("analysis", "analyze"),
)  # fmt: skip
POLITE = r"(?:(?:can|could|would|will) (?:you|someone|anyone) )?(?:please )?(?:help me (?:to )?)?"
TEXTS = (
    r"(?:poems?|haikus?|limericks?|tweets?|emails?|letters?|stor(?:y|ies)|essays?|posts?|songs?|functions?|scripts?"
    r"|messages?"
    r"|blogs?|paragraphs?|repl(?:y|ies)|responses?|notes?|speech(?:es)?|captions?|articles?|jokes?|facts?|recipes?"
    r"|riddles?"
    r"|quotes?|ideas?|tips?|names?|titles?|slogans?|taglines?|outlines?|lists?|quer(?:y|ies)|regex(?:es)?|dockerfiles?"
    r"|invitations?|announcements?|bios?|reviews?|examples?|questions?|class(?:es)?|programs?|templates?"
    r"|checklists?|cards?"
    r"|workouts?|itinerar(?:y|ies)|exercises?|headlines?|summar(?:y|ies)|descriptions?|toasts?|essays?)"
)
"""What somebody who asks for it gets written."""
TASKS = listed(
    "write draft compose translate summarize list give create generate make rewrite suggest recommend compare describe"
    " explain review fix convert extract classify count sort correct proofread shorten tell show find book schedule"
    " order send call remind set play calculate solve design plan name outline improve analyze debug refactor format"
    " brainstorm turn report optimize check test document comment paraphrase rephrase simplify expand continue edit"
    " cite rank add remove delete update cancel implement build qgive qwhat"
)
"""What an assistant does itself when told to: how one does it is another question."""

_RULES: tuple[tuple[str, Written], ...] = (
    # (beside the question)
    (r"\b(?:what|which) (?:exactly |precisely )", " what "),
    (r"^(?:according to|per|as per|based on) (?:the |our |my |your )?((?:\w+ ){0,2}?\w+) ?, ?(.+)$",
     r"\2 according \1"),
    (r" (?:according to|as per) (?:the |our |my |your )?((?:\w+ ){0,2}?\w+)$", r" according \1"),
    (r"^as an? ([\w ]{3,30}?) ?, ?(.+)$", r"\2 as \1"),
    (r"^i (?:am )?(?:an? )?((?:complete |total |absolute )?(?:beginner|novice|student|newbie))(?: and| so|,|\.)* (.+)$",
     r"\2 as \1"),
    (r"^in (?P<where>[\w#+.]+(?: [\w#+.]+)?) ?, ?(?P<rest>.+)$", r"\g<rest> in \g<where>"),
    (rf"^i (?:have )?(?:forgot|forgotten|forget|lose|lost|cannot remember|can not remember"
     rf"|do not remember) {NOUN} ?[,.;-]*"
     r" ?(?:and |so |but )?(?:i )?(?=how|qhow|where|what|can)(.*?)\b(?:it|that|this|one)\b", r"\2 \1 "),
    (rf"^(?:i have |i got |there is |my |the ){NOUN} (?:is|are|has|have|got|that is) (\w{{3}})\w* ?[,.;-]+ ?(?:and "
     rf"|so )?"
     r"((?:qhow|how) .*?\w*\2\w*) (?:it|them|that)\b", r"\3 \1 "),
    (r"^(.{4,60}?) ?[-:,.]+ ?how (?:does (?:that|this|it) work|do i do (?:that|this|it)|is (?:that|this|it) done"
     r"|to do (?:that|this|it)|can i do (?:that|this|it))$", r"qhow \1"),
    (r"^(\w+ing .{4,60}?) ?[-:,.]+ ?how$", r"qhow \1"),
    (r"^iwant (.+?) ?[,.;-]+ ?(?:and )?(?:how|qhow|where)(?: (?:do|can|should) i(?: do (?:that|this|it|so))?)?$",
     r"qhow \1"),
    (r" (?:if possible|at all|exactly|please|for me|to me|right now|currently|these days|for free of charge)$", ""),
    (r"^(?:my|the|our) (\w+) (?:is|are|keeps?|be) (\w+ing|\w+ed|broken|stuck) ?[.,;!-]+ ?(?:and |so )?((?:qhow"
     r"|how) .*?) (?:it|them|this)$",
     r"\3 \2 \1"),
    (r"^((?:\w+ ){0,3}\w+) ?[:.-]+ ?((?:qhow|how to) .*?) (?:it|them)$", r"\2 \1"),
    (r"^(\w+(?: \w+)?) vs (\w+(?: \w+)?) ?[:,.-]+ ?what (?:is|are) the differences?$", r"difference \1 vs \2"),
    (r"^(.+?) ?[,:.-] ?(?:and )?why$", r"why \1"), (r"^why (.+?) still\b", r"why \1"),
    (r"^(\w{3,}ing) (?!is\b|are\b|and\b|or\b|for\b|of\b|in\b|on\b|to\b|vs\b)([^?]+)$",
     lambda found: f" qhow {found[0]}" if plain(found[1]) != found[1] else found[0]),
    # (how)
    (r"^what (?:is|be|would be) (?:a|the) (?:good|quick|proper|nice|great) way to ", " qhow "),
    (r"^(?:how|what) (?:is|are) (?:the )?(.+?) (made|built|formed|produced|\w+ed) by (.+)$",
     lambda found: f" {found[0].split()[0]} {found[3]} {ACTIVE.get(found[2]) or base(found[2])} {found[1]}"),
    (r"^what (?:would|will) happen\b", " what happen "),
    (r"^what to (?=wear|bring|pack|eat|do|say|write|expect)", " what should i "),
    (r"^whom? (?:should|do|can|must|shall|would) (?:i|we) ", " who i "),
    (r"^when (?:should|do|must) (?:i|we) ", " when i "),
    (r"^(how (?:many|much) .+?) (?:am i entitled to|do i get|do i have|can i take|are we entitled to|do we get)$",
     r"\1 i get"),
    (r"^when (?:can|should|will) i (?:expect|get|receive) (.+?)(?: to (?:arrive|be delivered|come))?$",
     r" when \1 arrive"),
    (r"^when will (.+?) (?:arrive|come|be here|get here|be delivered)$", r" when \1 arrive"),
    (r"^(?:what|which) ((?:\w+ ){0,2}\w+) (?:is|are|be) (?:the )?(best|worst|most \w+|least \w+|\w+est)\b(.*)$",
     r" what is the \2 \1\3"),
    (r"^(?:what|which) ((?:\w+ ){0,2}\w+) (?:would|do|can|could) you (?:recommend|suggest|advise)\b", r" qgive \1"),
    (r"^(?:what|which) ((?:\w+ ){0,2}\w+) (?:is|are) used (?=in|by|for)", r" what \1 "),
    (r"^(?:can|do|would) you recommend ", " recommend "),
    (r"^how fast (?:is|are|does|do) (.+?)(?: go| travel| run| move)?$", r" what speed of \1"),
    (r"^how long (?:is|are) (?:the |my |your )?(.+)$", r" what length of \1"),
    (r"^how wide (?:is|are) ", " what width of "),
    (r"^(?:(?:do )?you (?:offer|have|provide)|qhave|is there) free (.+)$", r" \1 free"),
    (r"\bhow (?:should|would|could|must|ought) (?:i|we|you|one)(?: to)? ", " qhow "),
    (r"\bhow (?:do|does|can|could|would) (?:someone|anybody|people) ", " qhow "),
    (rf"^{POLITE}(?:tell|show|teach|explain|walk|guide|advise)(?: to)? ?(?:me|us)?(?: through)?(?: on)? (?:qhow"
     rf"|how to) ",
     " qhow "),
    (rf"^{POLITE}(?:tell|show|teach|explain)(?: to)? ?(?:me|us)? (?=how|what|why|when|where|who)", " "),
    (r"^(?:i (?:would like|want|need|wish) to (?:know|learn|find out)|iwant (?:know|learn|find out)) (?:how to |qhow )",
     " qhow "),
    (r"^(?:what (?:is|are|be) (?:the )?(?:(?:best|right|correct|proper|easiest) )?)?(?:some )?(?:good |the best )?"
     r"(?:trick|tricks|tip|tips|steps?|instructions?|guide|guidelines|tutorial|advice|process|procedure|methods?"
     r"|command|commands|syntax)"
     r" (?:to|for|on|of|about)(?: how to)? (?=\w+)", " qhow "),
    (r"^(?:any|give me|i need|need|got any) (?:some )?(?:tips?|advice|instructions|suggestions)"
     r" (?:to|for|on|about)(?: how to)? ", " qhow "),
    (r"^(?:the )?(?:best |right |correct |proper )?ways? (?:to|of) ", " qhow "),
    (r"\bhow (?:is|are|was) (?:the |an? |my )?((?:\w+ ){1,3})(made|done|calculated|cooked|written|installed|cleaned)$",
     lambda found: f" qhow {ACTIVE.get(found[2]) or base(found[2])} {found[1]}"),
    (r"^qhow (?:go about |best |properly |correctly |actually |quickly |easily )", " qhow "),
    (r"^what (?:do|does|should|must|would|can) (?:i|we|one|you) (?:have to |need to )?do (?:in order )?to ", " qhow "),
    (r"^what (?:has|have|needs?) to be done (?:in order )?to ", " qhow "),
    (r"^is there (?:a|any|some) (?:way|method|possibility|option)s? (?:to|of|for) ", " can i "),
    (r"^qhave (?:a |any |some )?(?:way|method|possibility|option)s? (?:to|of|for) ", " can i "),
    (r"^can i know how to ", " qhow "),
    (rf"^qwhere (?={SCREENS}\b)", " qhow "),
    (rf"^where (?={SCREENS}\b)", " qhow "),
    (r"^qwhere (?:see|view|access|look up|get to see|check) ", " where "),
    (r"^where (?:is|are) ", " where "),
    (r"\b(?:take|make|grab|capture|do) (?:an? )?(screenshot|backup|photo|payment|summary)\b", r" \1 "),
    (r"\bperform (?:an? )?(\w+)", r" \1 "),
    # (where something does not work)
    (r"\b(?:am|is|are|was) (?:unable|not able) to ", " can not "),
    (r"\bi can not seem to ", " i can not "), (r"\bi (?:am having|have) (?:trouble|problems|issues|difficulty) "
     r"(?=\w+ing)", " i can not "),
    (r"\b(?:keeps?|keep on|is constantly|constantly) (?=\w+ing\b)", " "),
    (r"\b(?:when|whenever|every time|as soon as) i (?:open|start|launch|run) (?:it|the app|this)\b", " on launch "),
    (r"\b(?:on|at|during) (?:startup|start|opening|launch|launching)\b", " on launch "),
    (r"\b(?:does|do|did|will|would|is|are) not (?:seem to |appear to )?(?:be )?work(?:ing)?\b", " not work "),
    (r"\b(?:has|have) not (?:yet )?(arrived|come|shipped)(?: yet)?\b", r" not \1 "),
    (r"\b(?:has|have) (?:still )?not (?:been )?", " not "),
    (r"^(.{6,50}?) ?[,.;] ?what (?:should|can|do|must|shall) i do$", r"qdo if \1"),
    (r"\bwhat (?:should|can|do|shall) i do (?:if|when|about) ", " qdo if "),
    (r"\bi was charged twice for\b|\byou charged me (?:twice|two times|#2 times) for\b"
     r"|\b(?:got|been|have been|was|were) (?:double charged|charged double) for\b", " charged twice for "),
    (r"\b(?:twice|#2 times|two times)\b", " twice "), (r"\b(?:the )?same\b(?= order| item| thing)", " "),
    (r"\b(?<=twice for )(?:#1|one|an?) ", " "),
    # (where one may)
    (r"\bcan ((?:\w+ ){1,3})be (\w+?ed)\b", lambda found: f" can i {base(found[2])} {found[1]}"),
    (r"^(?:are|is) ((?:\w+ ){1,4})(refund|return|exchange|recycl|wash|transfer|customiz|deduct|renew"
     r"|cancel)(?:e?able|lable)$",
     lambda found: f" can i {base(found[2] + 'ed')} {found[1]}"),
    (r"^(?:is|are) it (?:safe|ok|okay|fine|alright) for (.+?) to ", r" can \1 "),
    (r"^it (?:safe|ok|okay|fine|alright) for (.+?) to ", r" can \1 "),
    (r"^(?:are|is) (?:the |my |an? )?(.+?) (covered|included|supported|accepted|caused|affected|owned|provided"
     r"|required|needed) (?:by|in|under|with|for) (.+)$", r" qpass \2 \1 . \3"),
    (r"^(?:do|does) (.+?) (cover|include|support|accept|cause|affect|own|provide|require|need) (.+)$",
     r" qpass \2 \3 . \1"),
    (r"^(.+?) (possible|allowed|permitted|okay|ok|fine)$", r" can i \1"),
    (r"^do you (?:accept|take) (.+)$", r" can i pay with \1"),
    (r"^you (?:accept|take) (.+)$", r" can i pay with \1"),
    (r"^you (ship|deliver) ", r" can i \1 "), (r"^can i (?:ship|shipping|deliver) to ", " can i ship to "),
    (r"\bafter (?:i )?(?:have )?(\w+)(?:ing|ed)\b|\bonce (?:i )?(?:have )?(\w+)(?:ing|ed)\b", r" after \1\2 "),
    (r"\b(\w+) (?:that|which|who) (?:has been|have been|is|are|was|were|be) (\w+(?:ed|en))\b", r" \2 \1 "),
    (r"\bneeds? (?:to be )?(\w+ed)\b", lambda found: f" {base(found[1])} "), (r"\bneeds? (\w+ing)\b", r" \1 "),
    # (what there is)
    (r"^(?:what|which) ((?:\w+ ){1,3})(?:do you (?:accept|offer|provide|support|have|sell|take)"
     r"|(?:are|is) (?:accepted|available|offered|supported|provided|possible)|can i choose from)$", r" what qhave \1"),
    (r"^(?:what|which) (\w+s|\w+ \w+s) (?:do|does|can|will) (.+?) (?:have|has|offer|provide|cause|bring)$",
     r" qgive \1 of \2"),
    (r"^(?:tell me|give me|name|state|what would be|can i have) (?:the|your) (?!list|differences?\b)", " what is the "),
    (r"^what (?:is|are) (?:the |your )?open(?:ing)? (?:times?|hours?)\b", " when open "),
    (r"^what open(?:ing)? time\b", " when open "), (r"^when (?:are|is) you open\b", " when open "),
    # (why)
    (r"^what (?:makes|causes) ((?:\w+ ){1,3})(?:to be |to become )?(?=\w+$)", r" why \1"),
    (r"^what (?:makes|causes) ((?:\w+ ){1,3})to ", r" why \1"), (r"^how come\b", " why "),
    (r"^why (is|are|do|does|did|was|were) ", lambda found: f" why {found[1] if found[1] in PAST else ''} "),
    # (how long, how it is, when)
    (r"^how (?:is|was|will be) the weather\b", " what is the weather "), (r"\bweather (?:be )?like\b", " weather "),
    (r"^what (?:will|is) the weather be\b", " what is the weather "), (r"\bweather forecast\b", " weather "),
    (r"^when is it (?:now |currently )?in ", " current time in "),
    (r"^what is the (?:current |local |present )?time (?:now |currently )?in ", " current time in "),
    # (units)
    (r"^how many (\w+) (?:is |are )?(?:there )?(?:in |make )?(#\S+ \w+)$", r" convert \2 to \1"),
    (r"^what (?:is |are )?(#\S+ \w+) (?:in|to|as|into) (\w+)$", r" convert \1 to \2"),
    (r"^(#\S+ \w+) (?:in|to|as|into) (\w+)$", r" convert \1 to \2"),
    (r"^convert (#\S+ \w+) (?:in|as|into) (\w+)$", r" convert \1 to \2"),
    # (what it is)
    (r"^what (?:is|are|was|be) (?:meant by|the meaning of|the definition of) ", " qwhat "),
    (r"^qmean ", " qwhat "), (r"^what does (?:the )?(.+?) mean(?: in (.+))?$", r" qwhat \1 in \2"),
    (rf"^{POLITE}(?:explain|define)(?: to)?(?: me| us)? (?:what )?(.+?)(?: is| are| means?| does)?$", r" qwhat \1"),
    (r"^(?:give|provide|tell) (?:me |us )?(?:the |an? )?(?:brief |short |quick |simple )?"
     r"(?:explanation|definition|meaning|information|info|details) (?:of|for|about|on) ", " qwhat "),
    (rf"^{POLITE}tell (?:me |us )?(?:more |something )?about ", " qwhat "),
    (r"^what do you know about ", " qwhat "), (r"^what (?:can|could) you tell me about ", " qwhat "),
    (r"^what (?:are|is) the (?:contents?|details|information) of ", " qwhat "),
    (r"^(?:what|what is) (.+?) (?:all )?about$", r" qwhat \1"),
    (r"\bthe (?:number|amount|count|quantity) of (\w+)(?: (?:that )?(?:there )?(?:are|is))?\b", r" how many \1 "),
    (r"^(?:what (?:is|are|be) |what )(?=how many)", " "), (r"\bqhave in\b", " in "),
    (r"^how (?:big|large) (?:is|are) the population of ", " what population of "),
    (r"\b(how (?:many|much) \w+) (?:qhave|is there|are there|do we have|are|is)\b(?! (?:left|allowed))", r"\1 "),
    (r"^(?:in |on |at )?(?:what|which) (date|day|city|country|town|continent) (was|did|were|is|are|will|does|do"
     r"|can)\b(?!.*\bcapital\b)",
     lambda found: f" {'when' if found[1] in ('date', 'day') else 'where'} unit{found[1]} {found[2]}"),
    (r"^(?:in )?(?:what|which) year (?:was|did|were|is|will|does)\b",
     lambda found: f" when unityear {found[0].split()[-1]}"),
    (r"^(?:who was it that|which person|what person|which man|which woman) ", " who "),
    (r"\bby whom (was|were|is|are) (.+?) (\w+(?:ed|en|itten|ade))$", r" who \3 \2"),
    (r"^who (?:was|were|is|are) (.+?) (\w+(?:ed|itten|ade|ritten|ought|uilt)) by$", r" who \2 \1"),
    (r"^(.+?) (?:was|were|is) (\w+(?:ed|itten|ade)) by (?:whom|who)$", r" who \2 \1"),
    (r"^who (?:is|was) (?:the )?(?:author|writer) of ", " who wrote "),
    (r"^who (?:is|was|be) (?:the )?(paint|design|compos|discover|creat|direct|invent|found)e?(?:r|or)s? of ",
     lambda found: f" who {found[1]}ed "),
    (r"\bcapital city\b", " capital "),
    (r"^(?:what|which) (?:city|town) (?:is|be) (?:the )?(?=(?:\w+ )?capital\b)", " what "),
    (r"^(?:what|which) (.+?) do (?:they|people|you) (speak|use|eat|drink|wear|celebrate) in ", r" what \1 \2 in "),
    (r"^(?:what|which) (.+?) (?:is|are|be) (spoken|used|eaten|worn|celebrated) in ",
     lambda found: f" what {found[1]} {ACTIVE[found[2]]} in "),
    (r"\b(?:is |be )?(?:located|situated)\b", " "),
    (r"^(?:what|which) (\w+) (?:is|are) (?:the )?(own|manag|lead|creat|mak|sell|teach)(?:er|or)s? of ",
     lambda found: f" what {found[1]} {base(found[2] + 'ed')} "),
    (r"^(?:what|which) (\w+) (own|manage|lead|create|make|sell|teach)s ", r" what \1 \2 "),
    (r"^why (?:do i|am i|i) (?:get|getting|see|seeing|receive|receiving|keep getting) (?:this |the |an? )?",
     " qcause "),
    (r"^why (?:qhave|is there|are there) ", " qcause "),
    (r"^what (?:is|was) the reason (?:for|behind|of|that|why)? ?", " why "),
    (r"^what reason (?:for |of )?", " why "), (r"^(?:for what|what) reason ", " why "),
    (r"\bgot (?=\w+ed\b)", " was "), (r"\bhave (?=(?:declined|rejected|refused|charged|blocked|denied)\b)", " was "),
    # (what is wanted)
    *((rf"^{POLITE}(?:give|write|provide|make|create|prepare|get|show|i need|i want|need|want)(?: me| us)? (?:an? "
     rf"|the )?"
       rf"((?:[\w#]+ ){{0,3}}?)(?:{noun}) (?:of|for|on|about) ", rf" {verb} \1")
      for noun, verb in MADE_OF),
    (r"^(?:give|get me|show me|provide|list|name|qgive|tell me|please list) (?:me |us |out )?(?:all (?:of )?)?(?:the )?"
     r"(?:list of )?(?=(?:#\d+|names?|ideas?|examples?|some|(?!this|his|its|us\b)\w+s\b))", " qgive "),
    (r"^(?:what are|what were) (?:some |the )?(?=\w+s\b)", " qgive "),
    (r"\b(?:say|write) (?=.+ in (?:french|german|spanish|italian|english|japanese|chinese|portuguese|dutch|korean)$)",
     " translate "),
    (r"^qhow (?=translate )", " "),
    (r"\bmake (this |the |my |that )(.{3,30}?) (shorter|longer|simpler|better|clearer|more concise|more formal"
     r"|more professional|formal)$", lambda found: f" {MADE.get(found[3], found[3])} {found[1]}{found[2]} "),
    (r"^(?:what should|what could|what can) i (?:name|call) (?:my |the )?(.+)$", r" suggest name for \1"),
    (r"^(?:an? )?(python|javascript|js|java|rust|go|c|bash|sql|typescript|ruby|php|kotlin) "
     r"(function|script|code|program|class|query) (?:to|that|which|for) (.+)$", r"write \2 that \3 in \1"),
    (r"\b(?:function|script|program|code|query) (?:to|which) (?=\w+)",
     lambda found: f" {found[0].split()[0]} that "),
    (r"^(?:turn|change|transform|rewrite|put) (.+?) (?:into|in|to|as) (json|yaml|xml|csv|html|markdown|sql|python"
     r"|java|javascript|typescript)$", r" convert \1 to \2"),
    (r"\b(?:and|then) (?:give|provide|show|include)(?: me)? (?:an? |some )?examples?\b", " with example "),
    (r"\b(?:check|verify|determine|test|find out|see|tell|detect|know) (?:if|whether|that)\b", " check if "),
    (r"\bif (?:an? |the )?(\w+) (?:exists|is) in (?:an? |the )?(\w+)", r" if \2 has \1"),
    (r"\ba? ?more (formal|casual|professional|friendly|polite|academic) (?=tone|style|way|language|manner)", r" \1 "),
    (r"\bthis (?:text|passage|content)\b", " this "),
    (r"\b(convert|transform|turn|change)(?:ed|ing)? (.+?) into\b", r" convert \2 to "),
    (r"\bconvert (?!.* to )(?:from )?(.+?) (?:into|in) (?=\w+$)", r" convert \1 to "),
    (r"\bpull (.+?) (?:out )?(?:of|from|out of) ", r" extract \1 from "),
    (r"\ball of\b", " all "),
    (rf"^{POLITE}(?:give|tell|show|write|compose|draft|create|make|generate|produce|provide|suggest|recommend|prepare"
     rf"|come up with|i (?:would like|want|need|am looking for)|iwant)(?: (?:me|us))? (?:some |the )?(?:an? )?"
     rf"(?=(?:[\w#'-]+ ){{0,4}}?{TEXTS}\b)(?!(?:this|that|my|our|your)\b)", " qgive "),
)  # fmt: skip
FRAMES: tuple[tuple[re.Pattern[str], Written], ...] = tuple(
    (re.compile(pattern), written) for pattern, written in (*SAYINGS, *_RULES)
)


def framed(line: str) -> str:
    """The line in one form; lower case, single spaces."""
    for pattern, written in FRAMES:
        line, times = pattern.subn(written, line)
        if times:
            line = " ".join(line.split())
    return line
