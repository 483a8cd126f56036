"""Templates of the text lines of training logs. The writer fills them and the parser matches them.

The formats are those of the published SSD and Faster R-CNN logs (arXiv 1906.08467). GluonCV's scripts
(SSD of v0.3, Faster R-CNN of v0.4) print the same lines without Loss_D and Loss_G.
"""

from gan_kd_ssd.logs.records import BestMap, LearningRate, NewBest, Saved, Start

#: Lines of events: type of the record, template, and values of fields that the line does not contain.
#: The first line that fits a record is printed.
EVENTS = (
    (Start, "Start training from [Epoch {epoch}]", {}),
    (BestMap, "best_map is {value}", {}),
    (LearningRate, "[Epoch {epoch} Iteration {iteration}] Set learning rate to {rate}", {}),
    (LearningRate, "[Epoch {epoch}] Set GAN learning rate to {rate}", {"gan": True}),
    (LearningRate, "[Epoch {epoch}] Set learning rate to {rate}", {"gan": False}),
    (Saved, "[Epoch {epoch}] Saving parameters to {path}", {}),
    (
        NewBest,
        "[Epoch {epoch}] mAP {value} higher than current best [{previous}] saving to {path}",
        {},
    ),
)

#: Fields of events that are printed with as many digits as the number needs.
NUMBERS = ("value", "previous", "rate")

#: First line of a validation block, by style. The published logs have the trailing blank.
VALIDATION = {
    "ssd_gkd": "[Epoch {epoch}] StudentNet Validation: ",
    "faster_rcnn": "[Epoch {epoch}] Validation: ",
    "ssd": "[Epoch {epoch}] Validation: ",
}
MEAN = "mAP"

#: GluonCV's COCO metric prints a summary under this line, then the classes, then the mean.
COCO_HEAD = "~~~~ Summary metrics ~~~~"
COCO_MEAN = "~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~"

#: Figures of the ssd_gkd style. Only step lines of the GAN stage have the cosine figure as well.
SSD_GKD_FIGURES = (
    "Loss_D",
    "Loss_G",
    "Loss_D_real",
    "Loss_D_fake",
    "CrossEntropy",
    "SmoothL1",
)
# Spaces and full stops are irregular in the published lines, and differ between the two lines.
SSD_GKD_STEP = (
    "[Epoch {epoch}][Batch {batch}], Speed: {speed} samples/sec,Loss_D={Loss_D}. "
    "Loss_G={Loss_G}.  Loss_D_real={Loss_D_real}. Loss_D_fake={Loss_D_fake}. "
    "train_student_ori_net_CrossEntropy={CrossEntropy}. train_student_ori_net_SmoothL1={SmoothL1}."
)
SSD_GKD_COSINE = " cosine_length_loss_metric={cosine}."
#: Further figures of a step, from distillation terms that the published runs did not have.
SSD_GKD_FURTHER = " {name}={figure}."
SSD_GKD_EPOCH = (
    "[Epoch {epoch}], Speed: {speed} samples/sec,Loss_D={Loss_D}. "
    "Loss_G={Loss_G}.Loss_D_real={Loss_D_real}. Loss_D_fake={Loss_D_fake}. "
    "train_student_ori_net_CrossEntropy={CrossEntropy}. train_student_ori_net_SmoothL1={SmoothL1}."
)

#: Beginning of a line of the other styles. ``name=figure`` pairs follow, joined by the separator.
STEP_HEAD = "[Epoch {epoch}][Batch {batch}], Speed: {speed} samples/sec, "
EPOCH_HEAD = "[Epoch {epoch}] Training cost: {seconds}, "
SEPARATOR = {"faster_rcnn": ",", "ssd": ", "}

#: Figures of the faster_rcnn style that only JSON lines contain, because the published text has none.
JSON_ONLY_STEP = ("Loss_D_real", "Loss_D_fake", "cosine")
JSON_ONLY_EPOCH = (*JSON_ONLY_STEP, "RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")
