# answer: [true, true, ["amount", "city_ana", "city_bo"], true, true, 2]
import io

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.metrics import classification_report, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

random = np.random.default_rng(0)
frame = pd.DataFrame({"amount": random.normal(size=200), "city": random.choice(["ana", "bo"], size=200)})
frame.loc[3, "amount"] = np.nan
y = ((frame["amount"].fillna(0) > 0) ^ (frame["city"] == "bo")).astype(int)
columns = ColumnTransformer(
    [("number", make_pipeline(SimpleImputer(), StandardScaler()), ["amount"]), ("text", OneHotEncoder(), ["city"])],
    verbose_feature_names_out=False,
)
train, test, y_train, y_test = train_test_split(frame, y, random_state=0, stratify=y)
curved = make_pipeline(columns, SVC(probability=False)).fit(train, y_train)
straight = make_pipeline(columns, LogisticRegression()).fit(train, train["amount"].fillna(0) > 0)
auc = roc_auc_score(test["amount"].fillna(0) > 0, straight.predict_proba(test)[:, 1])
file = io.BytesIO()
joblib.dump(straight, file)
file.seek(0)
again = joblib.load(file)
words = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(["good sale", "bad debt", "good day"], [1, 0, 1])
text = classification_report(y_test, curved.predict(test))
net = ElasticNet(alpha=0.01).fit(frame[["amount"]].fillna(0), y)
reply([
    curved.score(test, y_test) > 0.85, auc > 0.95, list(straight[0].get_feature_names_out()),
    bool((again.predict(test) == straight.predict(test)).all()), "precision" in text and len(net.coef_) == 1,
    int(words.predict(["good"])[0]) + 1,
])
