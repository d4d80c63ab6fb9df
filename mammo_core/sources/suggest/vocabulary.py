"""Names of columns and words in cells, in the languages of the sites that write them.

English, German, French, Spanish, Italian, Dutch and Portuguese. A name is compared without case,
accents, blanks and punctuation.
"""

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def plain(text: str) -> str:
    """Return a text as names are compared: letters and digits only, lower case, no accents.

    Args:
        text: A name of a column, or a word of a cell.
    """
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss").casefold())
    return "".join(sign for sign in decomposed if sign.isalnum())


def _table(groups: Mapping[str, str]) -> Mapping[str, str]:
    """Return plain word → what it means, of what it means → words separated by commas."""
    return MappingProxyType(
        {plain(word): meaning for meaning, words in groups.items() for word in words.split(",")}
    )


#: Plain name of a column → what it is. Names of published data sets are among them.
COLUMN_NAMES: Final = _table(
    {
        "image_path": "image path,image,path,file,filename,file name,image file,image filename,"
        "anon dicom path,anon filename,dicom path,dicom,Datei,Dateiname,Dateipfad,Bild,Bilddatei,"
        "Bildpfad,Pfad,fichier,nom du fichier,chemin,archivo,nombre de archivo,imagen,ruta,"
        "nome file,immagine,percorso,bestand,bestandsnaam,afbeelding,arquivo,imagem,caminho",
        "patient_id": "patient id,patient,patientid,subject id,subject,client id,empi anon,"
        "anon patientid,pid,mrn,case id,Patientennummer,Patienten-Nr,Patientennr,Pat-Nr,PatNr,"
        "Pat-ID,Patienten-ID,Patientin,Fallnummer,numero patient,id patient,identifiant patient,"
        "patiente,ID1,id paciente,paciente,numero de paciente,historia clinica,id paziente,"
        "paziente,numero paziente,patiëntnummer,patientnummer,patiënt id,prontuario",
        "laterality": "laterality,side,breast,image laterality,imagelaterality,breast side,"
        "left or right breast,leftright,ImageLateralityFinal,Seite,Brust,Seitenlokalisation,"
        "Lateralität,cote,lateralite,sein,lado,lateralidad,mama,lato,lateralita,mammella,zijde,"
        "lateraliteit,lateralidade",
        "view": "view,view position,viewposition,image view,projection,Projektion,Ebene,Ansicht,"
        "Aufnahme,Strahlengang,incidence,projeccion,proyeccion,vista,proiezione,projectie,"
        "opname,incidencia,projecao",
        "label": "label,class,classification,cancer,malignant,malignancy,diagnosis,outcome,"
        "result,ground truth,target,Befund,Diagnose,Dignität,Ergebnis,Krebs,Karzinom,Malignität,"
        "diagnostic,resultat,malignite,diagnostico,resultado,malignidad,diagnosi,esito,"
        "malignita,diagnose,uitslag,maligniteit",
        "birads": "birads,bi-rads,breast birads,asses,assessment,birads category,BI-RADS-Kategorie,"
        "BIRADS-Klassifikation,categorie birads,categoria birads",
        "breast_density": "density,breast density,tissueden,composition,acr,acr density,Dichte,"
        "Brustdichte,Parenchymdichte,ACR-Dichte,densite,densidad,densidad mamaria,densita,"
        "densiteit,borstdensiteit,densidade",
        "lesion_type": "lesion type,type,finding,finding categories,abnormality type,abnormality,"
        "Herdbefund,Läsionstyp,Läsion,Befundart,Befundtyp,type de lesion,lesion,tipo de lesion,"
        "tipo di lesione,lesione,laesietype,tipo de lesao,lesao",
        "pathology": "pathology,histology,biopsy result,Pathologie,Histologie,Biopsieergebnis,"
        "anatomopathologie,histologia,istologia,patologia,histologie",
        "lesion_mask": "lesion mask,mask,mask path,mask file,roi mask,Maske,Maskendatei,masque,"
        "mascara,maschera,masker",
        "lesion_box": "lesion box,box,bbox,bounding box,roi,roi coords,boxes,Rahmen,Kasten,Ecken,"
        "Region,Koordinaten,cadre,caja,coordenadas,riquadro,coordinate,kader,caixa",
        "lesion_outline": "lesion outline,outline,contour,polygon,Umriss,Kontur,Polygon,contorno",
        "split": "split,subset,fold,set,partition,Aufteilung,Teilmenge",
        "exam_id": "exam id,exam,study id,study,study uid,accession,accession number,acc anon,"
        "visit,exam year,Untersuchung,Untersuchungsnummer,Studie,Studiennummer,Auftragsnummer,"
        "Untersuchungs-ID,examen,numero examen,etude,estudio,numero de estudio,esame,"
        "numero esame,studio,onderzoek,onderzoeksnummer,exame",
        "exam_date": "exam date,date,study date,studydate,acquisition date,date of exam,"
        "Untersuchungsdatum,Aufnahmedatum,Datum,Untersuchungstag,date examen,date de l'examen,"
        "fecha,fecha de estudio,fecha del examen,data,data esame,onderzoeksdatum,data do exame",
        "pathology_date": "pathology date,biopsy date,date of pathology,Histologiedatum,"
        "Biopsiedatum,Datum der Histologie,Pathologiedatum,date biopsie,date histologie,"
        "fecha biopsia,fecha de biopsia,data biopsia,biopsiedatum,data da biopsia",
        "box_xmin": "xmin,x min,x1,left,links,box xmin,bbox xmin,x,box x,links x,x links",
        "box_ymin": "ymin,y min,y1,top,oben,box ymin,bbox ymin,y,box y,y oben",
        "box_xmax": "xmax,x max,x2,right,rechts,box xmax,bbox xmax,x rechts",
        "box_ymax": "ymax,y max,y2,bottom,unten,box ymax,bbox ymax,y unten",
        "box_width": "box width,bbox width,w,Breite,width of box,largeur,ancho,larghezza",
        "box_height": "box height,bbox height,h,Höhe,height of box,hauteur,alto,altezza",
        "invasive": "invasive,invasiv,invasif,invasivo,invasief",
        "implant": "implant,implants,Implantat,Prothese,prothese,implante,protesi,implantaat",
        "site": "site,site id,hospital,center,institution,Standort,Klinik,Haus,hopital,"
        "centro,sede,ziekenhuis,unidade",
        "machine": "machine,machine id,device,scanner,unit,Gerät,Geräte-ID,appareil,equipo,"
        "apparecchio,toestel,aparelho",
    }
)
#: Words of sides; of views with words; and so on: plain word → the cell that it means.
CELL_WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "laterality": _table(
            {
                "L": "l,left,li,links,linke,linke brust,gauche,g,izquierda,izquierdo,izq,sinistra,"
                "sx,esquerda,esq,linker",
                "R": "r,right,re,rechts,rechte,rechte brust,droite,droit,derecha,derecho,der,"
                "destra,dx,direita,dir,rechter",
            }
        ),
        "view": _table(
            {
                "CC": "cc,craniocaudal,cranio-caudal,kraniokaudal,cranio-caudale,craneocaudal,"
                "craniocaudale,cran-caud",
                "MLO": "mlo,mediolateral oblique,mediolateral-oblique,mediolateral schräg,"
                "medio-lateral oblik,schräg,oblique,oblicua,oblicua mediolateral,obliqua,"
                "oblique externe,mediolaterale obliqua,obliquo",
                "ML": "ml,mediolateral,medio-lateral,seitlich,profil,perfil",
                "LM": "lm,lateromedial,latero-medial",
            }
        ),
        "label": _table(
            {
                "malignant": "1,yes,true,malignant,positive,pos,cancer,carcinoma,malign,ja,"
                "bösartig,maligne,positiv,Karzinom,Krebs,Mammakarzinom,oui,malin,cancer du sein,"
                "positif,si,sim,maligno,maligna,positivo,positiva,kwaadaardig,carcinoom,carcinome",
                "benign": "0,no,false,benign,negative,neg,normal,no cancer,no finding,nein,"
                "gutartig,benigne,negativ,unauffällig,ohne Befund,o.B.,kein Karzinom,kein Krebs,"
                "non,bénin,négatif,normale,sans particularité,benigno,benigna,negativo,negativa,"
                "sin hallazgos,não,goedaardig,nee,geen afwijkingen,normaal,nella norma",
                "unknown": "unknown,unclear,pending,indeterminate,n/a,na,?,unbekannt,unklar,offen,"
                "Kontrolle,in Abklärung,ausstehend,inconnu,en attente,indéterminé,desconocido,"
                "pendiente,indeterminado,sconosciuto,in attesa,onbekend,desconhecido",
            }
        ),
        "breast_density": _table(
            {
                "A": "a,1,acr a,acr 1,acr i,i,density a,typ a,type a,tipo a",
                "B": "b,2,acr b,acr 2,acr ii,ii,density b,typ b,type b,tipo b",
                "C": "c,3,acr c,acr 3,acr iii,iii,density c,typ c,type c,tipo c",
                "D": "d,4,acr d,acr 4,acr iv,iv,density d,typ d,type d,tipo d",
            }
        ),
        "lesion_type": _table(
            {
                "mass": "mass,masse,Herd,Herdbefund,Rundherd,Raumforderung,Tumor,Knoten,nodule,"
                "nodulo,masa,massa,opacite,massa,knobbel,nódulo",
                "calc": "calc,calcification,calcifications,microcalcification,suspicious "
                "calcification,Kalk,Mikrokalk,Verkalkung,Verkalkungen,Mikroverkalkung,"
                "calcificaciones,microcalcificaciones,microcalcifications,calcificazioni,"
                "microcalcificazioni,verkalking,calcificações,calcificacion,calcificação",
                "other": "asymmetry,focal asymmetry,global asymmetry,architectural distortion,"
                "distortion,skin thickening,nipple retraction,skin retraction,"
                "suspicious lymph node,Asymmetrie,Architekturstörung,Hautverdickung,Lymphknoten,"
                "asymetrie,distorsion architecturale,asimetria,distorsion,asimmetria,distorsione,"
                "asymmetrie",
                "": "none,no finding,kein,keine,aucun,ninguno,nessuno,geen,nenhum",
            }
        ),
        "pathology": _table(
            {
                "malignant": "malignant,malign,bösartig,maligne,malin,maligno,maligna,DCIS,IDC,ILC,"
                "Karzinom,carcinoma,kwaadaardig",
                "benign": "benign,gutartig,benigne,bénin,benigno,benigna,goedaardig",
                "": "none,keine,aucun,nessuna,no,nein",
            }
        ),
        "split": _table(
            {
                "train": "train,training,Training,entrainement,entrenamiento,addestramento,treino",
                "validation": "val,valid,validation,dev,Validierung,validación,validazione",
                "test": "test,testing,Test,prueba,prova,teste",
            }
        ),
        "invasive": _table({"yes": "ja,oui,si,sim,invasiv,invasive", "no": "nein,non,nee,in situ"}),
        "implant": _table({"yes": "ja,oui,si,sim", "no": "nein,non,nee,não"}),
    }
)
#: BI-RADS category → the label it means where a table has no other.
BIRADS_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {"1": "benign", "2": "benign", "4": "malignant", "5": "malignant",
     "0": "unknown", "3": "unknown", "6": "unknown"}
)  # fmt: skip
