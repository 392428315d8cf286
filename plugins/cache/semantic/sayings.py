"""Words and turns of phrase that say the same, each as one: read before `frames` looks how something is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from plugins.cache.semantic.lexicon import SHORT, packaged

TECH = (
    r"(?:python|javascript|typescript|js|java|rust|golang|bash|sql|ruby|php|kotlin|swift|css|html|git|pandas|"
    r"numpy|react|vue|angular|django|flask|excel|docker|kubernetes|postgres|postgresql|mysql|linux|ubuntu|"
    r"powershell|matlab|scala|perl|regex)"
)
PAST = ("did", "was", "were")
NOW: Mapping[str, str] = MappingProxyType(
    {"lost": "lose", "broke": "break", "missed": "miss", "forgot": "forget", "damaged": "damage"}
)
ACTIVE: Mapping[str, str] = MappingProxyType(
    {
        "caught": "catch", "made": "make", "built": "build", "written": "write", "sent": "send", "paid": "pay",
        "found": "find", "kept": "keep", "told": "tell", "sold": "sell", "bought": "buy", "taught": "teach",
        "done": "do", "shown": "show", "given": "give", "taken": "take", "worn": "wear", "held": "hold", "led": "lead",
        "eaten": "eat", "grown": "grow", "thrown": "throw", "chosen": "choose", "driven": "drive", "frozen": "freeze",
        "stolen": "steal", "hung": "hang", "drawn": "draw", "fed": "feed", "spoken": "speak", "used": "use",
        "celebrated": "celebrate", "formed": "form", "produced": "produce",
    }
)  # fmt: skip
MADE: Mapping[str, str] = MappingProxyType({
    "shorter": "shorten", "more concise": "shorten", "longer": "lengthen", "simpler": "simplify", "better": "improve",
    "clearer": "clarify", "more formal": "formalize", "formal": "formalize", "more professional": "formalize",
})  # fmt: skip


DONE = (
    r"(?:simplify|clarify|rephrase|edit|expand|continue|polish|annotate|comment|document|condense|adapt|evaluate"
    r"|analy[sz]e"
    r"|summari[sz]e|translate|explain|improve|review|check|fix|correct|rewrite|shorten|proofread|optimi[sz]e|refactor)"
)
"""What an assistant is asked to do with something at hand."""
SOFT = ("s", "c", "g", "v", "r", "z", "u")
"""Before -ed, where a word with an e and one without it both are."""


def active(word: str) -> str:
    """Of any participle."""
    return ACTIVE.get(word) or (base(word) if word.endswith("ed") else word)


def base(word: str) -> str:
    """Of a participle in -ed: charge of charged, stop of stopped."""
    stem = word.removesuffix("ed")
    if f"{stem}e" in packaged() and (stem not in packaged() or SHORT.match(stem) or stem.endswith(SOFT)):
        return f"{stem}e"
    doubled = len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsfz"
    return stem[:-1] if doubled else stem


def bare(thing: str) -> str:
    """Without its article."""
    return re.sub(r"^(?:the|an?|my|our|your) ", "", thing.strip())


Written = str | Callable[[re.Match[str]], str]
SAYINGS: tuple[tuple[str, Written], ...] = (
    # (things and doings)
    (r"^how (?:do|does) (?:they|people) make ", " qhow make "), (r"\bneed i for (?=\w+ing\b)", " need i to "),
    (r"\bwhat (?:is|are) (.{2,40}?) (?:used|good) for$", r" what is the purpose of \1"),
    (r"\bin (?:simple|easy|plain) (?:terms|words|language|english)\b", " simply "),
    (r"\bhow long (?:does|do|must|should) (.{2,40}?) (?:need to|have to) (\w+)$", r" what \2 time for \1"),
    (rf"^(?:can|could|would|will) you (?:please |kindly |just )?(?={DONE} (?:this|the|my|these|it)\b)", " "),
    (r"^(?:i am |i )?(?:not sure|do not know|have no idea|no idea|unsure|any ideas?"
     r"|got any ideas?)(?: about)? how to ", " qhow "),
    (r"^(?:we |i )?(?:am |are )?(?:looking|trying|hoping|planning|struggling) to ", " iwant "),
    (r"^need to ", " iwant "),
    (r"^(?:can|could|would) you (?:please )?(?:assist|help) (?:me|us) (?:in |with )?(?=\w+ing\b)", " qhow "),
    (r"\bis there (?:somewhere|anywhere|a place)(?: where)? (?:i|we) can ", " qwhere "),
    (r"\b(?:qwhere|where do i) (?:have to |need to )?go to (?=\w)", " qwhere "),
    (r"^(?:is|are) (\w+ing) (.{3,50}?) possible$", r" can i \1 \2"), (r"\b(?:is|are) (you|they) able to ", r" can \1 "),
    (r"\bwhom? i (?:talk to|speak to|speak with|talk with|ask|contact|turn to|reach out to)\b", " who i contact "),
    (r"\bwhom? (?:should|do|can|must) i (?:talk to|speak to|speak with|talk with|ask|contact|turn to|reach out to)\b",
     " who i contact "),
    (r"\bto whom (?:should|do|can|must) i (\w+) (.+)$", r" who i \1 \2 to"),
    (r"^what (?:is|are) the requirements? (?:for|to) ", " what need i for "),
    (r"\bhow much (?:does|do|did) (.{2,40}?) weigh$", r" what weight of \1"),
    (r"\bhow long (?:does|do|can) (.{2,40}?) live$", r" what lifespan of \1"),
    (r"\b(?:life expectancy|life span|average lifespan)\b", " lifespan "),
    (r"^when (?:is|are) (.{2,40}?) due$", r" what is the deadline for \1"), (r"\bdue date\b", " deadline "),
    (r"\b(?:right away|straight away|at once|instantly)\b", " immediately "),
    (r"^(?:my|the|our) ((?:\w+ ){0,2}\w+) (?:will|does|do|is|are|would) not (\w+)$", r" \1 not \2"),
    (r"^what (?:does|do) (this|the|my) (.{2,50}?) do$", r" qwhat \1 \2"),
    (r"^(?:what|which) port (?:does|do|is) (.{2,40}?) (?:use|using|listen on|run on|running on|listening on)$",
     r" what is the port of \1"),
    (r"\bdefault port\b", " port "), (r"\b(?:even though|though)\b", " although "),
    (r"\bhave (?=(?:declined|rejected|refused|charged|blocked|denied)\b)", " was "),
    (r"\bcan i have (?=an? |my |the |some )", " can i get "),
    (r"^(?:i |we )?need (?:some )?help (?:with |in )?(?=\w+ing\b)", " qhow "),
    (r"^(?:can (?:someone|anyone|somebody|you) help me|(?:i |we )?need (?:some )?help|iwant) with (?=my |the "
     r"|this )", " help with "),
    (r"^(?:is|are) ((?:my |the |your )?\w+(?: \w+)?) (\w+ed) (\w+ly)$",
     lambda found: f" {found[1]} {base(found[2])} {found[3]}"),
    (r"^(?:what|which) ((?:\w+ ){1,3})you (?:accept|offer|provide|support|have|sell|take|serve)$", r" what qhave \1"),
    (r"^when (?:is|would be) (?:the |a )?(?:best|right|ideal|good) time to ", " when i "),
    (r" by default$", ""), (r"\bthe (?:word|term|expression|phrase) (?=\w+$)", " "),
    (r"^is it true that (.+?) (is|are) ", r" \2 \1 "), (r"^it true that (.+?) (?:is|are) ", r" \1 "),
    (r"\baccess to (?:the |my |our |an? )?(\w+)$", r" \1 access"),
    (r"\brewrite ((?:this|the|my) \w+) (?:to (?:be|sound)|so that it is|so it is) (more \w+|\w+er)$", r" make \1 \2"),
    (r"^((?:qgive|give|i need|suggest).+?) suggestions$", r"\1"),
    (r"\b(?:put|turn|convert|transform|format) (.+?) (?:in|into|as|to) an? (table|list|chart)$", r" convert \1 to \2"),
    (r"^what is (.+?) (?:date of birth|birthday|birth date)$", r" when was \1 born"),
    (r"^how (?:are|is) (.+?) formed$", r" how \1 form"),
    (r"^who (?:is|are) (?:the )?(?:head|leader|chief) of ", " who lead "),
    (r"^(who (?:leads?|heads?|runs|manages) .+?) (?:department|dept|team)$", r"\1"),
    (r"^who (?:leads|heads) ", " who lead "),
    (r"\border number (?=#)", " order "), (r"\b(?:annual|paid) leave\b|\bpaid time off\b|\bpto\b", " holiday "),
    (r"\bweather forecast\b|\b(?<=today )forecast\b|\b(?<=tomorrow )forecast\b|\bforecast (?=for |in )", " weather "),
    (r"^(?:can you |please |qhow |qwhere |where )?(?:track|check on|locate|trace) (?:my |the )?(order|parcel"
     r"|package|delivery"
     r"|shipment)"
     r"( #\S+)?$", r" where is \1\2"),
    (r"^what is (?:the )?(?:current )?(?:delivery )?status of (?:my |the )?(order|parcel|package|delivery"
     r"|shipment)( #\S+)?$",
     r" where is \1\2"),
    (r"^(?:check |what is )?(?:my |the )?(order|parcel|package|delivery|shipment) status$", r" where is \1"),
    (r"\bwhat number (?:do|can|should|must) i (?:call|ring|dial|phone|use)(?: you)? for ", " what is number for "),
    (r"\bwhat (?:phone )?number can i (?:reach|call|contact|get|ring) (\w+) (?:on|at|with)$", r" what is \1 number"),
    (r"\bwhat number can i (?:reach|call|contact|ring) (\w+)$", r" what is \1 number"),
    (r"^(?:what is |when is )(?:the |your )?check ?(in|out)(?: time)?$", r" when check \1"),
    (r"^when (?:can|do|must|should|may) (?:i|we) check ?(in|out)$", r" when check \1"),
    (r"^(?:is|are) (.{3,30}?) (dog|pet|kid|child) friendly$", r" qallow \2s in \1"),
    (r"\b(.{3,20}) (?:is )?(?:an? )?(?:payment )?option at (?:the )?checkout$", r" can i pay with \1"),
    (r"\b(?:submit|file|make|put in|submitting) (?:an? |my )?(\w+) claim\b", r" claim \1"),
    (r"^(?:what|which) (?:country|team|player|club|actor|author|scientist|artist|company|band|singer) "
     r"(?=won|invent|found|wrote|discover|built|paint|direct|compos|create|sang|sing|sung|play)", " who "),
    (r"^how many (day|week|hour|minute|month)s? (?:does|do|will|would) (.{3,40}?) take$", r" what \2 time unit\1"),
    (r"\bhow much time (?:does it|will it|would it|do i|do you|is)(?: take| need)?(?: to| for| required to"
     r"| needed to)?\b",
     " how long does it take to "),
    (r"\bhow long (?:does|will|would) it take (?:me |you |us )?(?:to|for) ", " how long to "),
    (r"\bhow long (?:is|are) needed to ", " how long to "),
    (r"\bhow (?:i|we|you|one) (?:can|could|should|might|do) ", " qhow "),
    (r"\bhow (?:should|can|could|do|may|must|are|is) (.{3,40}?) (?:be|get|passive) (\w+)\b(.*)$",
     lambda found: f" qhow {active(found[2])} {found[1]}{found[3]}"),
    (r"\b(\w+) (?:that|which) (?:is|are|was|were) (stuck|broken|lost|closed|open|full|empty)\b", r" \2 \1 "),
    (r"\b(?:am|are) (i|we) (?:unable|not able) to ", r" can not \1 "),
    (r"\bwhy (?:is|are|does|do|did|was|can)? ?not (?:the |my |our )?(\w+) ", r" why \1 not "),
    (r"\b(?:has|have) (?=\w{3,}ed\b)", " "),
    (r"\bcustomer (?:service|support|care|assistance)\b", " customer support "),
    (r"\b(?:responsible for|in charge of|charged with) (?=\w+ing\b)", " "),
    (rf"\bwhat (?:is|be) the (?:({TECH}) )?(?:command|syntax|function|method) (?:to|for) (.+)$", r" qhow \2 in \1"),
    (r" in$", ""),
    (r"\b(?:regular expression)s?\b", " regex "),
    (r"^(who|what) (?:is|are) (?:the )?(?:current|present) (?!\w+$)", r"\1 is the "),
    (r" (?:at the moment|currently|at present)$", ""),
    (r"^what is the date (?:of|for) (?=(?:the |our |my )?next)", " when is "),
    (r"\bhow (?:do|does) (.+?) (?:and|from) (.+?) differ$", r" difference \1 vs \2"),
    (r"^count (?:up )?(?:all )?(?:the )?(?:number of )?(\w+) in ", r" how many \1 in "),
    (r"\b(?:put|arrange|order) (.+?) (?:in|into) (\w+) order$", r" sort \1 \2"),
    (r"\balphabetically$", " alphabetical "),
    (r"\b(?:put|rewrite) (.+?) (?:in|into) (?=the )?(?=(?:active|passive) voice)", r" rewrite \1 in "),
    (r"\b(note|letter|email|message|card) to (?=my |the |a )", r" \1 for "),
    (r"\bbuilding (?=an? |the |my )", " build "),
    (r"\b(\w+)\.js\b", r" \1 "), (r"\blower case\b", " lowercase "), (r"\bupper case\b", " uppercase "),
    (r"\bsegmentation fault\b", " segfault "), (r"\bdecimal places?\b", " decimal "),
    (r"\b(?:take|taking) care of\b", " care for "), (r"\bgo(?:ing)? back to\b", " undo to "),
    (r"\b(?:the |our |my )?company (?=(?:\w+ ){0,2}(?:policy|policies|handbook)\b)", " our "),
    (r"\bif (?:i|you|we) (?:have no|do not have(?: any| an?)?) (\w+)", r" without \1 "),
    (r"\blearn(?:ing)? (?:how )?to (?:play|speak) (?:the )?", " learn "),
    (r"\bget (.{2,30}?) to stop (\w+ing)\b", r" stop \1 from \2 "),
    (r"\bchange ((?:an? |the |my )?(?:\w+ )?(?:tires?|tyres?|battery|batteries|bulbs?|lightbulbs?|filters?|fuses?"
     r"|wipers?))\b",
     r" replace \1 "),
    (r"\b(?:did|have|has|had) (?:still )?not (?:yet )?(?:received?|gotten|got|get)\b", " not get "),
    (r"\bcan i (?:bring|take) (?:my |an? )?(dogs?|cats?|pets?|kids?|children|food|drinks?) (?:to|into|in|with me to|on)"
     r" (?:the |your )?", r" qallow \1 in "),
    (r"\b(?:of )?(?:the )?(?:following|above|attached|given) (?=\w)", " this "),
    (r"\b(?:from|between) (#\S+) (?:to|and|-) (#\S+)", r" range \1 \2 "), (r"(#\S+) ?- ?(#\S+)", r" range \1 \2 "),
    (r"\b(top|best|last|first|latest) (#\S+)", r" \2 \1 "),
    (r"(#\S+) ?(?:\*|x|times|multiplied by) ?(#\S+)", r" \1 times \2 "),
    (r"\b(?:the )?(\w+) (?:below|above)$", r" this \1"),
    (r"\b(?:deploy|publish|upload|post)(?:ing)? (.{2,30}?) (?:to|on|onto) ", r" deploy \1 in "),
    (r"\b(?:asking for|to ask for|to request|requesting|in which i ask for|that asks for)\b", " request "),
    (r"\b(?:considered|regarded as|deemed) ", " "),
    (r"\bset (?:an? |me an? )?(?:reminder|alarm) (?:for|at|on) ", " remind me "),
    (r"\b(\w{4,}?)e?d? by hand\b", r" \1 manually "),
    (r"\b(?:properly|correctly|actually|personally|normally|usually|typically|generally|in general)\b", " "),
    (rf"^({TECH}) ?[:,-] ?(.+)$", r"\2 in \1"),
    (rf"^({TECH}) (?=(?:check|add|remove|delete|sort|count|find|set|format|convert|create|make|call|build|get|test"
     rf"|update)\b)(.+)$",
     r" qhow \2 in \1"),
    (rf"^({TECH}) (?!vs\b|and\b|or\b|is\b|for\b|function\b|script\b|code\b|program\b|class\b|query\b)(.+)$",
     r"\2 in \1"),
    (rf"\b(?:with|using|by using|through|via) (?=(?:the )?{TECH}\b)", " in "),
    (r"\b(?:using|with the help of|by means of)\b", " with "),
    (r"\bin (ascending|descending|alphabetical|reverse|numerical) order\b", r" \1 "),
    (r"\b(?:make|do|perform|issue) (an? )?(http|get|post|api|rest|ajax) (request|call)", r" send \1\2 request"),
    (r"\bspeed(?:ing)? up (.{3,30}?)(?=$| in | on )", r" make \1 faster"),
    (r"\bi (?:have )?(lost|broke|missed|forgot|damaged)\b", lambda found: f" i {NOW[found[1]]} "),
    (r"\bget ((?:\w+ ){0,2}(?:stains?|smells?|odou?rs?|scratch(?:es)?|dents?|gum|wax|ink|grease|mould|mold|rust)) "
     r"(?:out of|off(?: of)?|from) ", r" remove \1 from "), (r"\bstop (?:receiving|getting) ", " unsubscribe from "),
    (r"\bopt out of ", " unsubscribe from "),
    (r"\b(?:revert|roll back|rollback)\b", " undo "), (r"\bput in\b", " enter "), (r"\btype in\b", " enter "),
    (r"\b(?:talk|speak|chat) (?:to|with) (?:an? )?(?:real |live |actual |human )*"
     r"(?:human|person|agent|representative|rep|advisor|someone|operator)\b", " contact human "),
    (r"\bcontact (?:an? )?(?:real |live |actual |human )*(?:person|agent|representative|rep|human)\b",
     " contact human "),
    (r"\b(?:running|listening) (?=on port)", " "), (r"\b(?:a )?phone number\b", " number "),
    (r"\b(?:word|pdf|excel) (?:document|doc|file)\b", lambda found: f" {found[0].split()[0]} "),
    (r"\b(csv|json|xml|yaml) file\b", r" \1 "), (r"\bthe (\w+) keyword\b", r" \1 "),
    (r"\bnew (?=branch|file|folder)", " "),
    (r"\bcommand line\b", " cmd "), (r"\bcmd line\b", " cmd "), (r"\b(pro|premium|basic|free|plus) plan\b", r" \1 "),
    (r"\bbig o(?: notation| complexity)?\b", " time complexity "),
    (r"\bcast iron (?:skillet|pan)\b", " cast iron pan "),
    (r"\bmonthly\b", " per month "), (r"\b(?:yearly|annually)\b", " per year "),
    (r"\bweekly\b", " per week "), (r"\bdaily\b", " per day "),
    (r"\bwar ii\b", " war #2 "), (r"\bwar i\b", " war #1 "), (r"\b(?:ww2|wwii)\b", " world war #2 "),
    (r"\b(?:ww1|wwi)\b", " world war #1 "),
    (r"\bwhen was the end of (.+)$", r" when did \1 end"), (r"\bwhen was the (?:start|beginning) of (.+)$",
     r" when did \1 start"),
    (r"\b(?:ideal|right|correct|best|recommended) (?=temperature|size|time|distance|height|weight|age)", " ideal "),
    (r"\bwhat (temperature|size|height|weight|distance) (?:should|must) (.+?)(?: be)?$", r" what ideal \1 for \2"),
    (r"\b(?:at )?what temperature (?:do|does|will) (\w+) (boil|freeze|melt|evaporate)s?\b",
     r" what \2 point of \1"),
    (r"\bhow long (?:should|do|does|must|can) (?:i|we|you|it take to) (\w+) (.+)$", r" what \1 time for \2"),
    (r"\bwhat (\w+ )?(\w+ing) time (?:for|of) (.+)$", r" what \2 time for \3 in \1"),
    (r"\bdistance (?:from|between) (.+?) (?:to|and) (.+)$",
     lambda found: " distance " + " . ".join(sorted((bare(found[1]), bare(found[2]))))),
    (r"\b(?:compare|difference between|differences between|comparing) (.+?) (?:and|to|with|vs(?! code"
     r"| studio)) (.+?)(?= in | for |$)",
     lambda found: " difference " + " . ".join(sorted((bare(found[1]), bare(found[2])))) + " . "),
    (r"\b(\S+) vs (?!code|studio)(\S+)\b", lambda found: " difference " + " . ".join(sorted((found[1], found[2])))),
    (r"^how (?:is|are|does|do) (.+?) (?:different from|differ from|compare to|compare with) (.+)$",
     lambda found: " difference " + " . ".join(sorted((bare(found[1]), bare(found[2]))))),
    (r"^what makes (.+?) different from (.+)$",
     lambda found: " difference " + " . ".join(sorted((bare(found[1]), bare(found[2]))))),
)  # fmt: skip
