"""Words that may stand for each other in a question without changing what is asked: sure ones and weak ones."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

PACKAGED = "synonyms.bin"

SURE = """
get obtain receive / buy purchase / begin start commence / fix repair mend resolve solve troubleshoot
quick fast / quickest fastest / quicker faster
quickly fast / inexpensive cheap / tell inform / change alter amend modify / phone telephone / mobile cellphone
photo photograph picture pic / kid child children / holiday vacation / shipping delivery shipment / ship deliver
price cost pricing / restart reboot / display show / automatic auto / automatically auto / yearly annual annually
car automobile / film movie / big large / bigger larger / biggest largest / small little / help assist
book reserve / booking reservation / permit allow / permitted allowed / submit file / instal install
repeat recurring / shop store / ask enquire inquire / quote quotation / dispute challenge contest
previous earlier prior / advert advertisement ad / bike bicycle / fridge refrigerator / tv television telly
plane aeroplane airplane / flat apartment / sofa couch / rubbish garbage trash / lift elevator / petrol gasoline
autumn fall / postcode zipcode / lawyer solicitor attorney / error fault / wrong incorrect
near nearby / require need / mandatory compulsory obligatory / illegal unlawful / legal lawful / whole entire
happen occur / choose pick select / pupil student / toilet bathroom restroom / exam examination / lab laboratory
info information detail / doc document paperwork / config configuration / repo repository / db database
docs documentation / function func / param parameter / arg argument / dir directory folder
approx approximately roughly / max maximum / min minimum / avg average / dev developer / spec specification
ref reference / uni university / maths math mathematics / nationwide countrywide / symptom sign
join enrol enroll register / restrict limit / swift rapid / locate find / construct build / shut close / speak talk
connect link / vaccination vaccine jab immunisation / medicine medication / physician doctor gp / lunch luncheon
expire lapse / parcel package / warranty guarantee / sum total / difference distinction / benefit advantage
benefits advantages pros / drawback disadvantage downside / drawbacks disadvantages cons downsides / beginner novice
important crucial / method technique / vegetarian veggie / colour shade / recommend suggest / accurate precise
answer reply respond / attempt try / assess evaluate / assistance support / author writer / broad wide extensive
compute calculate / commonly usually normally typically generally / completely entirely totally fully
therefore consequently thus hence / country nation / dangerous unsafe hazardous / demonstrate show / discover find
diary journal / difficult hard tough / daily everyday / differentiate distinguish / easy simple / easily simply
effect impact / mistake error / necessary essential / especially particularly / example instance / extra additional
extremely very highly / frequently often regularly / huge immense vast enormous / illness sickness / ill sick unwell
immediately instantly straightaway / significant important / improve enhance boost / instruct teach / likely probable
maybe perhaps possibly / mainly mostly / nearly almost / purpose goal aim objective / reject decline / search seek
kind type sort / strange unusual odd weird / stop cease / quit exit / topic subject / various several multiple
write compose draft / oz ounce
house home
verify confirm
wealthy rich / global worldwide / cv resume / taxi cab / luggage baggage / mum mother mom / dad father
pharmacy chemist drugstore / reimbursement refund / reimburse refund / coupon voucher / discount reduction
staff employee worker / pain ache / baby infant / teen teenager / takeaway takeout / dessert pudding / veg vegetable
prawn shrimp / aubergine eggplant / courgette zucchini / coriander cilantro / diaper nappy / pavement sidewalk
motorway highway freeway / tap faucet / torch flashlight / sneaker trainer / jumper sweater / timetable schedule
post mail / website site webpage / exchange swap / dispatch ship / track trace / depart leave / latest newest
subway underground metro / rent hire / rental hire / fee charge / vet veterinarian / tablet pill / convert transform
js javascript / ts typescript / postgres postgresql / k8s kubernetes / env environment / prod production
prevent avert / stain mark / aid assist / smell odour odor / noise sound / tidy neat / trip excursion
postpone defer / thief burglar / garment clothing / employment job / occupation profession / terminate cancel
grow cultivate / broadband internet / pc computer / free complimentary / harder tougher / easier simpler
remove delete erase eliminate / reduce lower decrease / skillet pan / tyre tire / dict dictionary / cmd command
undo revert rollback / hubby husband / stats statistics / admin administrator / auth authentication / lang language
lib library / perms permissions / creds credentials / dupe duplicate / py python / str string / int integer
char character / var variable / bool boolean / async asynchronous / sync synchronize synchronise / execute run
init initialize initialise / passwd password / pw password / acc account / vid video / prevent avoid / own possess
protect secure / adjust change / extend lengthen / collect gather / main primary principal / present current
brief short / tiny small / giant huge / clever smart / funny humorous / scared afraid / suitable appropriate
enough sufficient / faulty defective / costly expensive pricey / cheap affordable / coworker colleague / yard garden
truck lorry / candy sweets / frosting icing / stove cooker hob / closet wardrobe / line queue
illness disease sickness / flu influenza / covid coronavirus / tummy stomach belly / company firm
inhabitant resident / meaning definition / rule regulation / law legislation / contract agreement / question query
photo image / teacher instructor / homework assignment / notification alert / securely safely / abroad overseas
recently lately / now currently / best top / well-known famous / delicious tasty / operate use utilise utilize
solve resolve / revenue turnover / inspect examine / forever permanently
tasty yummy /
colour color / grey gray / programme program / grandma grandmother / grandpa grandfather
mommy mother / daddy father / pup puppy / specs specification / convo conversation /
evidence proof / wifi wi-fi / regex regexp / tutorial walkthrough / repository repo / unregister deregister
bug defect / spectacles eyeglasses / holiday vacation / rotate spin
overview summary synopsis / beverage drink / cuisine food / feline cat / canine dog / automobile car
create make / setup configure / see view / merge combine / lost misplaced / bug defect
easiest simplest / closest nearest / km kilometre kilometer / kg kilogram kilogramme kilo / mg milligram
metre meter / litre liter / appt appointment / acct account / msg message / qty quantity / vs versus
govt government / dept department / pwd password / addr address / dollar usd / euro eur / pound gbp quid
"""
"""Between slashes: each of them for each other. Where two senses of a word would meet, it stands here
only with the one."""

WEAK = """
lost missing / broken faulty damaged / fit install / client customer / setup configure / last final
application app / update change / cancel stop / end finish / get receive / request order / make book / make create
create add / remove delete / edit modify change / cancel end stop terminate / visit see / use utilise
view see check / open start / need want / charge cost fee / fee price / rate price / employee staff worker
customer client / company business firm / house home / job work / amount sum / send submit / upload attach
download get / retrieve recover / reset change / hire rent / issue problem / problem error / trip journey
journey travel / bill invoice / limit maximum / plan tier / plan package / plan subscription / supply provide
provide give / offer give / option choice / feature function / support work / arrange organise / schedule book
claim apply / replace change / upgrade update / tax duty / contact reach / contact call / call phone ring
explain describe / define describe / compute calculate / work function / purpose goal aim / main major
typical usual common / effect impact / cause reason / size dimension / quick short / teach instruct / delete remove
cancel close / transfer send / transfer move / earliest first / bug defect / journey trip / property house home flat
option alternative / detect find / decide determine / consequence result outcome effect / destroy ruin
handle manage / choose prefer / mention note / complete finish / keep hold maintain / obtain receive / phase stage
plan scheme / position place / road route street / search look / test check examine / analyse study
grow increase rise / fall drop decrease / reduce lower cut / raise increase / stay remain / gather collect
carry bring take / pack bring / lose misplace / guest visitor / track follow / arrive come / permit licence
cost charge / pay salary wage / garbage waste / bus coach / dinner meal / class course lesson / term period
leave holiday / save keep / method way / entry access / enter access / trade swap / stop quit / energy power
grade result / get find / agent agency / switch move change / expire end / teach train / create setup
weather forecast
happen occur / place restaurant
change replace / begin originate / restore recover
"""
"""As `SURE`, but only where an embedder finds the whole texts as near as can be."""


def _classes(table: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in re.split("[\n/]", table):
        words = line.split()
        known = next((found[word] for word in words if word in found), words[0] if words else "")
        for word in words:
            found.setdefault(word, known)
    return MappingProxyType(found)


def _pairs(table: str) -> frozenset[frozenset[str]]:
    lines = (line.split() for line in re.split("[\n/]", table))
    return frozenset(frozenset((one, other)) for line in lines for one in line for other in line if one != other)


CLASSES = _classes(SURE)
"""word -> the first of its group."""
WEAK_PAIRS = _pairs(WEAK)


@lru_cache(1)
def related() -> frozenset[str]:
    """Pairs of words with a sense in common, those of WordNet: `"car machine"`, the first in the alphabet first."""
    packed = resources.files("plugins.cache.semantic").joinpath(PACKAGED).read_bytes()
    return frozenset(gzip.decompress(packed).decode("ascii").split("\n"))


def weakly(one: str, other: str) -> bool:
    """Whether two words may well mean the same."""
    return frozenset((one, other)) in WEAK_PAIRS or " ".join(sorted((one, other))) in related()
