//! The words of the screen, Korean and English, for people who never saw a till. No codes, no blame.

use till_link::{Attention, Hint, Outcome, Phase};

/// One message: Korean, then English.
pub type Words = (&'static str, &'static str);

/// What to do about an attention.
pub fn attention(reason: Attention) -> Words {
    match reason {
        Attention::UncertainItem => ("상품을 다시 놓아 주세요.", "Please put that item down again."),
        Attention::UnknownItem => ("판매하지 않는 상품이 있어요.", "One item is not sold here. Please take it off."),
        Attention::Overlap => ("상품을 겹치지 않게 놓아 주세요.", "Please spread the items out."),
        Attention::OutOfPicture => ("상품을 가운데로 옮겨 주세요.", "Please move the items to the middle."),
        Attention::MassMismatch => {
            ("무게가 맞지 않아요. 다시 놓아 주세요.", "The weight is off. Please put all down again.")
        }
        Attention::CameraLost => {
            ("카메라를 쓸 수 없어요. 직원을 불러 주세요.", "The camera is out. Please call staff.")
        }
        Attention::TooManyItems => ("상품이 너무 많아요. 나누어 놓아 주세요.", "Too many items. Please take some off."),
        Attention::OutcomeUnknown => ("결제를 확인하고 있어요.", "We are checking the last payment."),
        Attention::StorageFull => {
            ("지금은 판매할 수 없어요. 직원을 불러 주세요.", "No sale now: disk full. Please call staff.")
        }
        Attention::EngineFailed => {
            ("상품을 알아볼 수 없어요. 직원을 불러 주세요.", "Recognition is out. Please call staff.")
        }
        Attention::ScaleLost => ("저울을 쓸 수 없어요. 직원을 불러 주세요.", "The scale is out. Please call staff."),
    }
}

/// What the person before the face camera should do, or how it ended. Not to be known is nobody's fault.
pub fn hint(hint: Hint) -> Words {
    match hint {
        Hint::Front => ("카메라를 봐 주세요.", "Look into the camera."),
        Hint::Right => ("오른쪽으로 조금 더.", "A little more to your right."),
        Hint::Left => ("왼쪽으로 조금 더.", "A little more to your left."),
        Hint::Down => ("아래로 조금 더.", "A little further down."),
        Hint::Up => ("위로 조금 더.", "A little further up."),
        Hint::Closer => ("가까이 와 주세요.", "A little closer."),
        Hint::Back => ("조금 물러나 주세요.", "A step back."),
        Hint::Light => ("빛이 맞지 않아요.", "The light is not good here."),
        Hint::Still => ("잠시 그대로.", "Hold still."),
        Hint::Uncover => ("얼굴이 가려졌어요.", "Something covers the face."),
        Hint::Alone => ("한 분만 서 주세요.", "One person, please."),
        Hint::Done => ("등록되었어요.", "Done."),
        Hint::Unknown => ("회원이 아니어도 괜찮아요.", "No member: pay as usual."),
        Hint::Known => ("이미 회원이에요.", "Already a member."),
        Hint::Late => ("시간이 지났어요.", "That took too long."),
        Hint::Failed => ("얼굴로는 안 돼요.", "Not possible by face here."),
    }
}

/// What a shopper should know of where the session stands.
pub fn phase(phase: Phase) -> Words {
    match phase {
        Phase::Idle => ("상품을 올려 주세요.", "Put your goods on the tray."),
        Phase::Present => ("어서 오세요. 상품을 올려 주세요.", "Welcome. Put your goods on the tray."),
        Phase::Scanning => ("상품을 보고 있어요.", "Looking at your goods."),
        Phase::Settled => ("잠시만 기다려 주세요.", "One moment, please."),
        Phase::Offered => ("결제해 주세요.", "Ready to pay."),
        Phase::Paid => ("결제되었습니다. 감사합니다.", "Paid. Thank you."),
        Phase::Cancelled => ("취소되었습니다.", "Cancelled."),
        Phase::Abandoned => ("판매가 끝났습니다.", "The sale is over."),
        Phase::Clearing => ("상품을 가져가 주세요.", "Please take your goods."),
        Phase::Attention => ("확인이 필요해요.", "Something needs a look."),
    }
}

/// How a sale ended, when no money has to be given back.
pub fn ended(outcome: Outcome) -> Words {
    match outcome {
        Outcome::Paid => phase(Phase::Paid),
        Outcome::Cancelled => phase(Phase::Cancelled),
        Outcome::Abandoned => phase(Phase::Abandoned),
    }
}

/// The counter can't be heard.
pub const OFFLINE: Words = ("계산대와 연결이 끊겼어요.", "No connection to the counter.");
/// The POS took the money; the counter has not closed the sale yet.
pub const PAYING: Words = ("결제를 확인하고 있어요.", "Payment sent, one moment.");
/// The POS refused the offer; the counter has not closed the sale yet.
pub const CANCELLING: Words = ("취소하고 있어요.", "Cancelling, one moment.");
/// Money was taken for a sale that the counter closed otherwise.
pub const REFUND: Words = ("환불해 드립니다.", "Give the money back");
