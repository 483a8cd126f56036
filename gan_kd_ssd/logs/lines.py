"""The text lines of training logs, as templates: the writer fills them, the parser matches them.

Published: the SSD and Faster R-CNN logs of arXiv 1906.08467's authors. GluonCV's scripts (SSD as
of v0.3, Faster R-CNN as of v0.4) print the lines without Loss_D and Loss_G.
"""

START = "Start training from [Epoch {epoch}]"
BEST_MAP = "best_map is {value}"
LEARNING_RATE = "[Epoch {epoch}] Set learning rate to {rate}"
GAN_LEARNING_RATE = "[Epoch {epoch}] Set GAN learning rate to {rate}"
WARM_UP_RATE = "[Epoch {epoch} Iteration {iteration}] Set learning rate to {rate}"
SAVED = "[Epoch {epoch}] Saving parameters to {path}"
NEW_BEST = "[Epoch {epoch}] mAP {value} higher than current best [{previous}] saving to {path}"

#: Head of a validation block by style. The blank at its end is in the published logs.
VALIDATION = {
    "ssd_gkd": "[Epoch {epoch}] StudentNet Validation: ",
    "faster_rcnn": "[Epoch {epoch}] Validation: ",
    "ssd": "[Epoch {epoch}] Validation: ",
}
MEAN = "mAP"

#: GluonCV's COCO metric prints its summary under an empty name, then classes, then the mean.
COCO_HEAD = "~~~~ Summary metrics ~~~~"
COCO_MEAN = "~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~"

#: Figures of the ssd_gkd style. The cosine figure stands in the GAN stage's step lines alone.
SSD_GKD_FIGURES = (
    "Loss_D",
    "Loss_G",
    "Loss_D_real",
    "Loss_D_fake",
    "CrossEntropy",
    "SmoothL1",
)
# Blanks and full stops are uneven in the published lines, and differ between the two.
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

#: The other styles: a head, then ``name=figure`` joined by the style's separator.
STEP_HEAD = "[Epoch {epoch}][Batch {batch}], Speed: {speed} samples/sec, "
EPOCH_HEAD = "[Epoch {epoch}] Training cost: {seconds}, "
SEPARATOR = {"faster_rcnn": ",", "ssd": ", "}

#: Figures of the faster_rcnn style that the published text lines do not have: a record may hold them,
#: and its JSON line does.
JSON_ALONE_STEP = ("Loss_D_real", "Loss_D_fake", "cosine")
JSON_ALONE_EPOCH = (*JSON_ALONE_STEP, "RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")
