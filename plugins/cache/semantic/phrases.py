"""What reads alike in questions: ways to ask how, whether, how much, when; verbs of several words. Each to one form."""

from __future__ import annotations

import re

BEST = r"(?:best|right|correct|proper|usual|normal|general)"
THING = r"(?:(?!not |i |we |you )[\w#$%£€'.-]+ )"
PAYING = (
    r"(?:cash|cheques?|checks?|paypal|visa|mastercard|amex|american express|apple pay|google pay|klarna|bitcoin|crypto"
    r"|contactless|(?:credit|debit|gift|bank)? ?cards?|bank transfers?|direct debit)"
)
FORMS = r"(?:return|application|form|report|claim|paperwork|request|complaint|document|ticket|appeal)s?"
DETAILS = (
    r"(?:address|details?|email|name|number|card|information|info|preferences|settings|profile|password|picture|photo"
    r"|plan|subscription|booking)"
)
ORDERED = (
    r"(?:write|give|send|book|reserve|translate|summari[sz]e|list|generate|create|calculate|draft|fix|convert|show"
    r"|find|schedule|play|order|cancel|make|rewrite|review|check|describe|provide|compare|suggest|recommend|explain"
    r"|add|remove|delete|update|set|turn|compute|solve|correct|format|sort|count|extract|classify|rank|plan|design"
    r"|build|implement|refactor|debug|proofread|paraphrase|shorten|improve|outline|name|recommend|tell)"
)
DETERMINED = r"(?=(?:me|us|my|our|the|this|that|these|those|a|an|some|all|it|\d+|#\S+|two|three|five|ten)\b|['\"])"

_ASKING = (
    # (orders)
    (rf"^(?:can|could|would|will) you (?:please |kindly |just )?({ORDERED}) {DETERMINED}", r"\1 "),
    (rf"^({ORDERED}) (?:me|us) (?!how|what|when|where|why|who|which|if|about)", r"\1 "),
    (rf"^({ORDERED} .+) for (?:me|us)$", r"\1"),
    (r"^i (?:want|need|would like|am trying|wish) to (.+?) ?[,.] ?(?:how|where) (?:do|can|should|would) i"
     r"(?: (?:do|go about|start)(?: (?:that|this|it|so))?)?$", r" qhow \1"),
    (r"^i (?:want|would like|need|wish|would love|am looking|am trying|am hoping) to (?!know)", " iwant "),
    (r"^(?:can|could|would|will) you help me (?:to |with )?", " iwant "),
    (r"^(?:please )?help me (?:to |with )?", " iwant "),
    (r"^(?:calculate|compute|work out|evaluate) (?=.*\d)", " what "),
    # (how something is done)
    (r"\bwhat can (?:i|we|you|one) do to ", " qhow "),
    (rf"\bwhat (?:is|are|would be) (?:the|a|your) (?:{BEST} )?(?:way|ways|method|process|procedure|steps?)"
     r" (?:i (?:can|could|should)|you (?:can|could|should)|to|for|of|in order to) ", " qhow "),
    (r"\bwhat (?:is|are|would be) the (\w+est|easy|quick) (?:way|method|process|procedure) (?:to|for|of) ",
     r" \1 qhow "),
    (r"\bhow (?:do|does|can|could|would|might|to|shall) (?:i|we|you|one|someone|somebody|a person|people)"
     r"(?: (?:actually|like|possibly|best))? (?:go about |manage to )?", " qhow "),
    (r"^how to ", " qhow "),
    (r"\bwhat (?:steps )?(?:do|would|must|should) (?:i|we|you) (?:need|have|take)?(?: to)? ?(?:do|take)?"
     r" (?:in order )?to (?!do\b)", " qhow "),
    (r"\bhow (?:can|could|do) ((?:\w+ ){1,4})be (\w+?)ed\b", r" qhow \2 \1"),
    (r"\bwhat (?:should|do|can|must|shall|to|would) (?:i |we |you |one )?(?:need to )?do (?:if|when|in case) ",
     " qdo if "),
    (r"^what to do (?:if|when) ", " qdo if "),
    (r"\bwhat happens when\b", " what happens if "),
    # (what may be done)
    (r"\b(?:is|would|will) it (?:be )?possible (?:for (?:me|us|you) )?to ", " can i "),
    (r"\b(?:am|are) (?:i|we) (?:able|allowed|permitted) to ", " can i "),
    (r"\bis there (?:a|any|some) ways? (?:for (?:me|us) )?(?:to|i can|of) ", " can i "),
    (r"\bis it (?:ok|okay|fine|alright|all right|permitted|allowed|permissible) (?:for (?:me|us) )?"
     r"(?:if i|if we|to) ", " can i "),
    (r"\b(?:may|could|can) (?:i|we) ", " can i "),
    (r"\b(?:is|are) ((?:\w+ ){1,5})(?:allowed|permitted|able) to ", r" can \1"),
    (rf"\bdo you (?:accept|take) ({PAYING})(?: payments?)?", r" can i pay with \1"),
    (rf"\bpay (?:by|using|via|in) (?=(?:a |my |an )?{PAYING}\b)", " pay with "),
    (r"( qhow | can i )(?:obtain|receive|request|order) "
     r"(?=an? (?:\w+ )?(?:copy|duplicate|quote|quotation|receipt|invoice)\b)", r"\1get "),
    # (what must be done)
    (r"\b(?:is it|would it be) (?:necessary|required|mandatory|compulsory|needed) (?:for (?:me|us) )?(?:to|that i) ",
     " need i to "),
    (r"\b(?:do|would|will) (?:i|we) (?:need|have) to ", " need i to "),
    (r"\b(?:am|are) (?:i|we) (?:required|obliged|obligated) to ", " need i to "),
    (r"\bmust (?:i|we) ", " need i to "),
    (r"\bwhat (?:is|are) (?:needed|required|necessary) (?=to|for)", " what need i "),
    (r"\b(?:am i eligible (?:for|to get)|do i qualify for|am i entitled to) ", " qeligible "),
    (r"\b(?:is|are) (?:an? |the )?((?:\w+ ){1,3})(?:required|needed|necessary|mandatory) (?=to|for)", r" need i \1"),
    (r"\bdo (?:i|we) need\b(?! to\b)", " need i "),
    (r"\bis it (?:a good idea|advisable|recommended|wise|sensible) (?:for (?:me|us) )?to ", " should i "),
    (r"\bwhat ((?:\w+ ){1,3})(?:is|are) (?:needed|required|necessary) (?=to|for)", r" what \1need i "),
    # (what it costs)
    (r"\bhow much (?:would|does|do|will|is) it (?:cost|be)(?: me| us)? (?:to|for|of) ", " qcost "),
    (r"^(?:to|for) (.+?) ?, ?how much (?:would|does|do|will|is) (?:it|that) (?:cost|be)$", r" qcost \1"),
    (r"\bhow much (?:do|does|would|will) (?:you|they|it) charge (?:me |us )?(?:to|for) ", " qcost "),
    (rf"\bhow much (?:do|does|would|will) ({THING}{{1,9}})cost\b", r" qcost \1"),
    (rf"\bwhat (?:do|does|would|will) ({THING}{{1,9}})cost\b", r" qcost \1"),
    (r"\bwhat (?:is|are) (?:the|your) (?:price|prices|cost|costs|charge|charges|fees?|pricing) (?:of|for|to) ",
     " qcost "),
    (r"\bwhat do you charge (?:me )?(?:for|to) ", " qcost "),
    (rf"\bwhat (?:is|are) (?:the|your) ({THING}{{1,3}}?)(?:fees?|charges?|costs?|prices?|pricing)(?! of)\b",
     r" qcost \1"),
    (r"\bhow much (?:is|are) (?!left|it worth|too)(?=\w|#)", " qcost "),
    (rf" qcost ((?:the |your |a )?{THING}{{1,3}}?)(?:fees?|charges?|costs?|prices?)\b", r" qcost \1"),
    (r"^(?:the )?(?:price|cost) of ", " qcost "),
    # (what there is)
    (r"\b(how (?:much|many) (?:\w+ ){1,3})(?:is|are) there\b", r"\1"),
    (r"^(?:does|do) (?:the|your|this) ((?:\w+ ){1,2})have (?!to\b)(.+)$", r" qhave \2 in \1"),
    (r"\b(?:are|is) ((?:\w+ ){1,3})(?:allowed|permitted) (?=in|on|at|into|inside)", r" qallow \1"),
    (r"\bdo you (?:allow|permit) ", " qallow "),
    (r"\bwhat (?:does|do) ((?:\w+ ){1,4})include\b", r" what is included in \1"),
    (r"\bwhat (?:does|do) ((?:\w+ ){1,4})cover\b", r" what is covered by \1"),
    (r"^(?:does|do) (?!you )((?:\w+ ){1,4})cover (.+)$", r" \2 covered by \1"),
    (r"\bwhat payment (?:methods|options|types|forms) (?:do you (?:accept|take|offer|support|have)"
     r"|are (?:accepted|available|supported)|can i use)\b", " what payment method "),
    (r"^(?:does|do) (?:the|your) ((?:\w+ ){1,3})include (.+)$", r" \2 included in \1"),
    (r"\b(?:can|do|will|would) you (deliver|ship|accept|support|serve|cover|sell|repair|stock|offer|provide)\b",
     r" you \1"),
    (r"\bwhat ((?:\w+ ){1,4})do you (?:have|offer|provide|stock|sell)\b", r" what qhave \1"),
    (r"\bwhat ((?:\w+ ){1,4})(?:are|is) (?:there|available)\b", r" what qhave \1"),
    (r"\b(?:is there|are there|have you got|do you have|do you offer|do you provide|have you|do you do|do you stock) ",
     " qhave "),
    (r"\b(?:is|are) (?!there\b|it\b|they\b)((?:\w+ ){1,4})available\b", r" qhave \1"),
    (r"^(?:do|can) (students|children|kids|members|seniors|pensioners|employees|staff|customers|teachers|veterans) get"
     r" (.+)$", r" qhave \2 for \1"),
    (r"\bhow many ((?:\w+ ){1,3})(?:do|does) (.+?) (?:have|contain)$", r" how many \1in \2"),
    (r"\bhow much ((?:\w+ ){1,2})(?:do|does) (.+?) (?:have|contain)$", r" how much \1in \2"),
    (r"\bwhat (?:is|are) some (?:of the )?", " what "),
    (r"\bwhat (?:kind|kinds|type|types|sort|sorts) of\b", " what kind of "),
    # (when and where)
    (r"\b(?:at )?(?:what|which) time\b", " when "),
    (r"\bwhat (?:is|are) (?:the|your) (?:opening |business |office |store |shop )?"
     r"(?:hours|times)(?: of (?:operation|business|opening))?\b(?! of| for)", " when open "),
    (r"\bwhen (?:are|do) you (?=open|close|shut)", " when "),
    (r"\bwhen (?:is|are) (?:the|your) (deadline|due date|cut off|closing date|start date|end date)",
     r" what is the \1"),
    (r"\bwhere (?:do|can|could|should|would) (?:i|we|you|one) (?:find|locate) ", " where "),
    (r"\bwhere (is|are) (.+?) (?:located|situated)\b", r" where \1 \2"),
    (r"\bwhat is the location of ", " where is "),
    (r"\bwhere (?:do|can|could|should|would) (?:i|we|you|one) ", " qwhere "),
    # (what something is, and why)
    (r"\bwhat is (?:meant by|the meaning of|the definition of) ", " qmean "),
    (r"\bwhat (?:do|does) (.+?) mean$", r" qmean \1"),
    (r"^(?:define|give the definition of) ", " qmean "),
    (r"\bwhy is it that\b|\bhow come\b|\bwhat is the reason (?:that|why)\b", " why "),
    (r"\bwhy (?:will|do|does|can|would) ((?:\w+ ){0,5}?)not ", r" why \1 not "),
    (r"\bwhat (?:is|are) the (?:causes?|reasons?) (?:of|for|behind) ", " qcause "),
    (r"\bwhat causes? ", " qcause "),
    (r"\bhow (?:is|are|does|do) (.+?) (?:different|differ) from (.+)$", r" what difference between \1 and \2"),
    (r"\bwhat (?:does|do) (.+?) stand for$|\bwhat is the full form of (.+)$|\bwhat is (.+?) short for$",
     r" qstands \1\2\3"),
    # (measures)
    (r"^how long (?:does|do|will|would) ((?:\w+ ){1,3})(?:usually |normally |typically )?take$", r" what \1time"),
    (r"\bhow old (?:is|are) ", " what age of "), (r"\bhow tall (?:is|are) ", " what height of "),
    (r"\bhow heavy (?:is|are) ", " what weight of "), (r"\bhow deep (?:is|are) ", " what depth of "),
    (r"\bhow (?:big|large) (?:is|are) ", " what size of "), (r"\bhow far (?:is it|away is) ", " what distance "),
    (r"\bhow many people (?:live|are living) in ", " what population of "),
    (r"\bhow far (?:is|are) (.+?) from ", r" what distance from \1 to "),
    (r"\bwhat (?:is|are) (?:the )?distance between (.+?) and ", r" what distance from \1 to "),
    (r"\bwho (?:is|was) the author of\b", " who wrote "), (r"\bwho (?:is|was) the inventor of\b", " who invented "),
    (r"\bwho (?:is|was) the founder of\b", " who founded "), (r"\bwho (?:is|was) the director of\b", " who directed "),
)  # fmt: skip
_VERBS = (
    (r"\bin order to\b|\bso as to\b", " to "),
    (rf"\b(?:update|edit|amend|modify|alter)(?:ing)? ((?:my|the|your|our) (?:\w+ ){{0,3}}?{DETAILS})\b",
     r" change \1 "),
    (rf"\b(?:file|filing|lodge|lodging|send in|sending in) ((?:my|the|your|our|a|an) (?:\w+ ){{0,4}}?{FORMS})\b",
     r" submit \1 "),
    (r"\b(?:make|making|submit|submitting|put in|putting in|lodge|lodging) (?:a |an |my )?(?=claim\b)", " "),
    (r"\b(?:make|making|book|booking|schedule|scheduling|arrange|arranging) (an? (?:\w+ )?appointment)", r" book \1"),
    (r"\b(?:make|making) (?:a |my )?(?:booking|reservation)\b(?: (?:for|at))?", " book "),
    (r"\b(?:make|making) (?:a |my )?payments?\b", " pay "),
    (r"\b(?:make|making|file|filing|raise|raising) (?:a |my )?complaints?\b", " complain "),
    (r"\b(?:place|placing|make|making) (?:an |my )?order\b(?: for)?", " order "),
    (r"\b(?:make|making) (?:a |any )?changes? to\b", " change "),
    (r"\b(?:end|terminate|stop|quit|discontinue)(?:ing)? ((?:my|the|your|our) (?:\w+ ){0,2}?(?:subscription|membership"
     r"|plan|contract|policy|direct debit|trial))\b", r" cancel \1 "),
    (r"\b(?:create|make|setup|set up|open|start|register(?: with| for)?)(?:ing)? (?:an|a new) account\b",
     " open account "),
    (r"\bsign(?:ing)? up for (?:an|a new) account\b", " open account "),
    (r"\b(?:reach|get through to|speak (?:to|with)|talk (?:to|with)) (?=customer|support|someone|you\b)", " contact "),
    (r"\b(?:send|give)(?:ing)? back (?=my|the|an?|this|it)", " return "),
    (r"\b(?:gift|discount|promo(?:tion(?:al)?)?|coupon|voucher) codes?\b", " discount code "),
    (r"\bgift (?:vouchers?|cards?)\b", " giftcard "), (r"\bcredit (?:score|rating)\b", " credit score "),
    (r"\bcar parks?\b|\bparking lots?\b", " carpark "), (r"\bswimming pools?\b", " pool "),
    (r"\b(?:hand luggage|hand baggage|carry ?on(?: bags?| luggage| baggage)?|cabin (?:bags?|luggage|baggage))\b",
     " cabinbag "),
    (r"\blow cost\b", " cheap "), (r"\bchecking account\b", " current account "),
    (r"\bcovered (?:under|by|in|with)\b", " covered by "), (r"\bincluded (?:in|with|under)\b", " included in "),
    (r"\bget(?:ting)? in touch with\b|\bget(?:ting)? (?:a )?hold of\b", " contact "),
    (r"\b(?:turn|switch)(?:ing|ed)? on\b", " enable "), (r"\b(?:turn|switch)(?:ing|ed)? off\b", " disable "),
    (r"\b(?:turn|switch)(?:ing|ed)? ((?:\w+ ){1,4}?)on\b", r" enable \1 "),
    (r"\b(?:turn|switch)(?:ing|ed)? ((?:\w+ ){1,4}?)off\b", r" disable \1 "),
    (r"\bactivat(?:e|ing)\b", " enable "), (r"\bdeactivat(?:e|ing)\b", " disable "),
    (r"\bsign(?:ing)? up (?:for|to|with)\b", " register with "), (r"\bsign(?:ing)? up\b", " register "),
    (r"\b(?:register|enrol|enroll)(?:ing)? (?:for|at|on|in|to)\b", " register with "),
    (r"\b(?:log|sign)(?:ging|ing)? (?:in|on)(?: ?to)?\b", " login "), (r"\blogin to\b", " login "),
    (r"\b(?:log|sign)(?:ging|ing)? (?:out|off)(?: of)?\b", " logout "),
    (r"\bset(?:ting)?[ -]?up\b", " setup "),
    (r"\b(?:get|claim|have|receive|getting) (?:my |your |a |the )?money back\b", " get refund "),
    (r"\bget(?:ting)? rid of\b", " remove "),
    (r"\bask(?:ing)? for\b", " request "), (r"\blook(?:ing)? for\b", " find "),
    (r"\bpick(?:ing)? up\b", " collect "), (r"\bput(?:ting)? off\b", " postpone "),
    (r"\b(?:fill|filling) (?:in|out)\b", " complete "), (r"\bcarry(?:ing)? out\b", " perform "),
    (r"\b(?:mobile|cell|cellular) phones?\b", " mobile "), (r"\bsold out\b", " out of stock "),
    (r"\bopening (?:times|hours)\b", " opening time "), (r"\b(?:round trip|return) (?=ticket|flight|fare)", " return "),
    (r"\bloop(?:ing)? (?:through|over)\b|\biterat(?:e|ing) (?:through|over)\b", " loop "),
    (r"\badverse effects?\b", " side effect "), (r"\bhypertension\b", " high blood pressure "),
    (r"\bwithdraw(?:ing)? (?=money|cash)|\btak(?:e|ing) out (?=money|cash)", " withdraw "),
    (r"\bk8s\b", " kubernetes "), (r"\bgot\b", " have "),
    (r"\b(?:final|last) (?=(?:train|bus|tram|ferry|flight|boat|metro|tube|orders?|entry|admission|collection)\b)",
     "last "),
    (r"\b(?:stay|remain)(?:s|ing)? open\b", " open "),
    (r"\bprior to\b|\bahead of\b", " before "), (r"\b(?:due to|owing to|because of)\b", " because "),
    (r"\b(?:regarding|concerning)\b", " about "), (r"\b(?:next|close) to\b", " near "),
    (r"\bmore than (?=#)", " over "), (r"\b(?:less|fewer) than (?=#)", " under "),
    (r"\bhalf an hour\b", " #30 minute "), (r"\b(?:a )?fortnight\b", " #2 week "),
    (r"\b(?:noon|midday)\b", " #t12:00 "), (r"\bmidnight\b", " #t00:00 "),
    (r"\bas soon as possible\b", " asap "),
    (r"\bcom(?:e|es|ing) with\b", " include "), (r"\bemail address(es)?\b", " email "),
    (r"\b(?:telephone|contact) number\b", " phone number "), (r"\b(?:cash ?points?|cash machines?)\b", " atm "),
    (r"\b(?:mon|monday)s? (?:to|through|until|till|-) (?:fri|friday)s?\b", " weekday "),
    (r"\bwi fi\b|\bwi-fi\b", " wifi "), (r"\be[ -]mail", " email"), (r"\b(?:per cent|pct)\b", " percent "),
    (r"\ba lot of\b|\blots of\b", " many "),
    (r"\b(?:for each|each|every|a) (?=(?:month|year|week|day|hour|person|night)\b)", " per "),
    (r"\b(?:right now|at the moment|at present)\b", " currently "),
    (r"\b(?:united kingdom|u\.k\.)", " uk "),
    (r"\b(?:united states(?: of america)?|u\.s\.a?\.|usa)(?=\W|$)", " unitedstates "),
    (r"\b(?:is|are) going to\b", " will "), (r"\bneeds? to\b|\b(?:have|has) to\b|\bmust\b", " need to "),
)  # fmt: skip
PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), written) for pattern, written in (*_VERBS, *_ASKING)
)
"""Over a text in lower case, its openings taken off; in this order. What begins with q is a kind of question."""
